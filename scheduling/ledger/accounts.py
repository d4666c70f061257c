"""Reads the account of each job of a scope, or of one, each as of one moment."""

from datetime import date, datetime

from django.db.models import Max

from scheduling.ledger.account import Account, Trouble
from scheduling.ledger.chains import chain_epochs, prove_chains
from scheduling.ledger.days import note_unpruned, prove_days
from scheduling.ledger.history import verdicts
from scheduling.ledger.moment import one_moment
from scheduling.ledger.stretches import read_stretches, within
from scheduling.ledger.ticks import prove_ticks
from scheduling.ledger.unplanned import count_unplanned
from scheduling.logs import configured_redactor
from scheduling.models import Job, LedgerTotal
from scheduling.outage import is_outage
from scheduling.recurrence.contract import EPOCH
from scheduling.tally import day_of, start_of
from scheduling.verdicts import INSTANT


def accounts(
    scope: str, *, now: datetime, job_id: str | None = None, since: datetime | None = None
) -> list[Account]:
    """Return the account of each job of a scope, deleted ones included, or of one job."""
    jobs = Job.objects.filter(scope=scope).order_by("job_id")
    if job_id is not None:
        jobs = jobs.filter(job_id=job_id)
    return [
        _account_or_reason(scope, pk, name, now=now, since=since)
        for pk, name in jobs.values_list("id", "job_id")
    ]


def _account_or_reason(
    scope: str, job_pk: int, job_id: str, *, now: datetime, since: datetime | None
) -> Account:
    try:
        return account_of(job_pk, now=now, since=since)
    except Exception as error:
        # A row that was corrupted by hand can fail in any way.
        if is_outage(error):
            raise
        account = Account(scope=scope, job_id=job_id)
        text = configured_redactor().text(f"the job cannot be read: {error}")
        account.note(Trouble.UNREADABLE, text)
        return account


def account_of(job_pk: int, *, now: datetime, since: datetime | None = None) -> Account:
    """Return one job's account for the ticks in (since, now].

    A window that begins in pruned history begins with a whole day: the totals know no more.
    """
    with one_moment():
        job = Job.objects.get(id=job_pk)
        account = Account(scope=job.scope, job_id=job.job_id)
        account.whole_days_from = _first_whole_day(job, since)
        _prove(job, account, low=_low(account.whole_days_from, since), now=now)
    return account


def _first_whole_day(job: Job, since: datetime | None) -> date | None:
    """Return the day of `since` if there are totals of it or of later days."""
    if since is None:
        return None
    last = LedgerTotal.objects.filter(job=job).aggregate(last=Max("day"))["last"]
    return day_of(since) if last is not None and day_of(since) <= last else None


def _low(whole_days_from: date | None, since: datetime | None) -> datetime:
    if whole_days_from is not None:
        return start_of(whole_days_from) - INSTANT
    return since or EPOCH  # before anything was planned


def _prove(job: Job, account: Account, *, low: datetime, now: datetime) -> None:
    stretches = read_stretches(job, account, low=low, now=now)
    edge = max(low, job.pruned_until or low)
    chains = chain_epochs(job)
    pruned = within(stretches, low, edge)
    prove_days(account, job, pruned, since=day_of(low + INSTANT), chains=chains)
    note_unpruned(account, job, low=low)
    prove_ticks(
        account,
        within(stretches, edge, now),
        verdicts(job.pk, low=edge, high=now, without=[chain.pk for chain in chains]),
        pruned_until=job.pruned_until,
    )
    prove_chains(account, job, chains, low=edge, now=now)
    count_unplanned(account, job, low=low, now=now)
