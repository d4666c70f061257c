"""Hands what takes long with a backup to the workers, as runs that the ledger accounts for."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Literal
from uuid import uuid4

from maintenance.models import Backup
from scheduling.actions.audit import Operator
from scheduling.actions.offices.create_office import NewOffice, create_office
from scheduling.actions.offices.submit_work import submit_work
from scheduling.actions.offices.work import Work
from scheduling.conf import conf
from scheduling.errors import DuplicateOffice
from scheduling.models import Office

OFFICE = "maintenance"  # one at a time: they all read the same disks
LONGEST = timedelta(hours=24)

What = Literal["verify", "drill", "restore"]


def hand_over(what: What, backups: Sequence[Backup], operator: Operator) -> Office:
    """Submit one run for each backup to the office `maintenance`; return that."""
    works = [
        Work(
            key=f"{what}-{backup.backup_id}-{uuid4().hex[:8]}",
            task=f"maintenance.tasks.{what}_backup",
            params={"backup_id": backup.backup_id},
            timeout=LONGEST,
            max_retries=0,
        )
        for backup in backups
    ]
    office = _office(operator)
    submit_work(office, works, operator)
    return office


def _office(operator: Operator) -> Office:
    scope = conf.SCHEDULER_SCOPE
    found = Office.objects.in_scope(scope).filter(office_id=OFFICE).first()
    if found is not None:
        return found
    new = NewOffice(scope=scope, office_id=OFFICE, name="Maintenance", max_concurrent=1)
    try:
        return create_office(new, operator)
    except DuplicateOffice:  # somebody was faster
        return Office.objects.in_scope(scope).get(office_id=OFFICE)
