"""Finds the office that an address names."""

from typing import Annotated

from ninja import Path

from scheduling.conf import conf
from scheduling.errors import UnknownOffice
from scheduling.models import Office
from scheduling.models.office import DEFAULT_OFFICE
from scheduling.storable import storable

OfficeId = Annotated[str, Path(max_length=64)]


def named_office(office_id: str) -> Office:
    """Return the office of that id in this process's scope; raise UnknownOffice."""
    offices = Office.objects.in_scope(conf.SCHEDULER_SCOPE)
    found = offices.filter(office_id=storable(office_id)).first()
    if found is None:
        raise UnknownOffice(conf.SCHEDULER_SCOPE, office_id)
    return found


def office_of_runs(office_id: str) -> Office:
    """Return it for what concerns its runs; those of jobs are the default one's, without a row."""
    try:
        return named_office(office_id)
    except UnknownOffice:
        if office_id != DEFAULT_OFFICE:
            raise
        return Office(scope=conf.SCHEDULER_SCOPE, office_id=DEFAULT_OFFICE)


def require_office(office_id: str) -> None:
    """Raise UnknownOffice for an id that is no office's; the default one may have no row."""
    if office_id != DEFAULT_OFFICE:
        named_office(office_id)
