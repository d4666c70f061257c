"""Changes an office and its roles; limits and policy hold at once, for whatever starts next."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction

from scheduling.actions.audit import Operator, record
from scheduling.actions.offices.create_office import check_office
from scheduling.errors import InvalidOffice
from scheduling.models import Office, RoleLimit
from scheduling.storable import require_storable

OFFICE_FIELDS = (
    "name",
    "state",
    "max_concurrent",
    "default_timeout",
    "max_retries",
    "retry_base",
    "retry_backoff",
)
ROLE_FIELDS = ("max_concurrent", "timeout", "max_retries", "retry_base", "retry_backoff")

Changes = Mapping[str, Any]


@transaction.atomic
def change_office(
    office: Office,
    operator: Operator,
    changes: Changes,
    *,
    roles: Mapping[str, Changes] | None = None,
    check: Callable[[Office], object] = lambda _: None,
) -> Office:
    """Set fields of the office, and of its roles by their names; a role that is new is added.

    `check` looks at the locked office before. Raises what it raises, or InvalidOffice if a value
    does not fit; nothing is changed then.
    """
    # Claims hold this lock while they count: none of them mixes an old limit with a new one.
    office = Office.objects.select_for_update().get(pk=office.pk)
    check(office)
    before = _set(office, changes, OFFICE_FIELDS)
    check_office(office)
    if before:
        office.save(update_fields=[*before])
    after = {name: _plain(getattr(office, name)) for name in before}
    for role, given in (roles or {}).items():
        require_storable("role", role)
        row = RoleLimit.objects.filter(office=office, role=role).first()
        row = row or RoleLimit(office=office, role=role)
        was = _set(row, given, ROLE_FIELDS)
        _check_role(row)
        if was or row.pk is None:
            row.save()
        before |= {f"{role}.{name}": value for name, value in was.items()}
        after |= {f"{role}.{name}": _plain(getattr(row, name)) for name in was}
    if before:
        record(operator, "change_office", office, before=before, after=after)
    return office


def _set(row: Any, changes: Changes, known: tuple[str, ...]) -> dict[str, Any]:
    """Set what differs; return what was there."""
    before = {}
    for name, value in changes.items():
        if name not in known:
            raise InvalidOffice(name, f"cannot be changed: give one of {', '.join(known)}")
        require_storable(name, value if isinstance(value, str) else "")
        if getattr(row, name) != value:
            before[name] = _plain(getattr(row, name))
            setattr(row, name, value)
    return before


def _check_role(row: RoleLimit) -> None:
    try:
        row.full_clean(exclude=["office"])
    except ValidationError as error:
        name, problems = next(iter(error.message_dict.items()))
        raise InvalidOffice(f"{row.role}.{name}", " ".join(problems)) from error


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, timedelta) else value
