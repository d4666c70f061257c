"""Creates an office with the roles of seed 004; all of it is edited afterwards."""

from dataclasses import dataclass
from datetime import timedelta

from django.core.exceptions import ValidationError
from django.db import transaction

from scheduling.actions.audit import Operator, record
from scheduling.errors import DuplicateOffice, InvalidOffice
from scheduling.models import Office, RoleLimit
from scheduling.storable import storable

# SPEC B3, B4: how many runs of a role at a time, and how many minutes each may take.
ROLES: dict[str, tuple[int | None, int]] = {
    "PO": (None, 15),
    "Architect": (None, 20),
    "FE": (1, 30),
    "BE": (1, 30),
    "QA": (1, 45),
    "DevOps": (1, 20),
}


@dataclass(frozen=True, kw_only=True)
class NewOffice:
    """What a new office needs; the rest is its model's default."""

    scope: str
    office_id: str
    name: str = ""
    max_concurrent: int | None = 3


@transaction.atomic
def create_office(new: NewOffice, operator: Operator) -> Office:
    """Create an office; raise DuplicateOffice or InvalidOffice, and keep nothing then."""
    if Office.objects.filter(scope=new.scope, office_id=storable(new.office_id)).exists():
        raise DuplicateOffice(new.scope, new.office_id)
    office = Office(
        scope=new.scope,
        office_id=new.office_id,
        name=storable(new.name),
        max_concurrent=new.max_concurrent,
    )
    check_office(office)
    office.save()
    RoleLimit.objects.bulk_create(
        RoleLimit(office=office, role=role, max_concurrent=most, timeout=timedelta(minutes=minutes))
        for role, (most, minutes) in ROLES.items()
    )
    record(operator, "create_office", office, after={"max_concurrent": office.max_concurrent})
    return office


def check_office(office: Office) -> None:
    """Raise InvalidOffice for the first field that the model refuses."""
    try:
        office.full_clean(exclude=["non_retryable_codes"])
    except ValidationError as error:
        name, problems = next(iter(error.message_dict.items()))
        raise InvalidOffice(name, " ".join(problems)) from error
