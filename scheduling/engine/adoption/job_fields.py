"""What a PeriodicTask row says of its job besides when: task, arguments, routing, expiry."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django_celery_beat.models import PeriodicTask

from scheduling.engine.adoption.routes import ADDRESS, Destination, Routes
from scheduling.errors import InvalidJob
from scheduling.outage import is_outage
from scheduling.storable import storable_value

ROUTING = (*ADDRESS, "priority")
NAME_HEADER = "periodic_task_name"  # what django-celery-beat's own scheduler puts on its messages


def job_fields(row: PeriodicTask, routes: Routes, *, adopted: bool) -> dict[str, Any]:
    """Read a row's values for its job, by field; raise InvalidJob naming one that is no such value.

    `adopted`: somebody else made the row, and its tasks may read the header that stock beat sends.
    """
    return {name: read(row) for name, read in _readers(routes, adopted=adopted).items()}


def readable_fields(row: PeriodicTask, routes: Routes) -> dict[str, Any]:
    """Read what can be read of a row that says something wrong; the job it becomes is set aside."""
    found = {}
    for name, read in _readers(routes, adopted=True).items():
        try:
            found[name] = read(row)
        except Exception as error:
            if is_outage(error):
                raise
    return found


def _readers(routes: Routes, *, adopted: bool) -> dict[str, Callable[[PeriodicTask], Any]]:
    return {
        "task": lambda row: row.task,
        "args": _args,
        "params": _params,
        "queue": lambda row: row.queue or _destination(row, routes).queue,
        "routing": lambda row: _routing(row, routes, adopted=adopted),
        "enabled": lambda row: row.enabled,
        "one_off": lambda row: row.one_off,
        "expires_after": _expires_after,
        "description": lambda row: row.description,
    }


def _args(row: PeriodicTask) -> Any:
    return _json_value(row.args, "args", list)


def _params(row: PeriodicTask) -> Any:
    return _json_value(row.kwargs, "kwargs", dict)


def _destination(row: PeriodicTask, routes: Routes) -> Destination:
    return routes.destination(row.task, _args(row), _params(row))


def _routing(row: PeriodicTask, routes: Routes, *, adopted: bool) -> dict[str, Any]:
    """Return exchange, routing_key, priority and headers, as far as the row gives them.

    Where it says nothing of where to, the app may have an exchange for its task.
    """
    given = {name: getattr(row, name) for name in ROUTING if getattr(row, name) not in {None, ""}}
    if not row.queue and not given.keys() & set(ADDRESS):
        given.update(_destination(row, routes).address)
    headers = _json_value(row.headers, "headers", dict)
    if adopted:
        headers[NAME_HEADER] = row.name
    return {**given, "headers": headers} if headers else given


def _expires_after(row: PeriodicTask) -> timedelta | None:
    return timedelta(seconds=row.expire_seconds) if row.expire_seconds else None


def _json_value(text: str | None, field: str, kind: type[list[Any]] | type[dict[str, Any]]) -> Any:
    """Read a row's JSON text; raise InvalidJob if it is not a `kind`."""
    try:
        value = json.loads(text or ("[]" if kind is list else "{}"), parse_constant=_refused)
    except (ValueError, RecursionError) as error:
        raise InvalidJob(field, f"not JSON ({error}): correct it in the periodic task") from error
    if not isinstance(value, kind):
        name = "array" if kind is list else "object"
        raise InvalidJob(field, f"must be a JSON {name}: correct it in the periodic task")
    if storable_value(value) != value:
        raise InvalidJob(field, "has a NUL or half a surrogate pair: remove it")
    return value


def _refused(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")
