"""What chaos reads of the ledger is what its checker needs: damage done by hand is found."""

from datetime import timedelta

import pytest

from opsproject.chaos.apart import SCOPE
from opsproject.chaos.checker import check
from opsproject.chaos.clients import Clients
from opsproject.chaos.history import Change, History
from opsproject.chaos.meddling import Meddler
from opsproject.chaos.reading import read_history
from opsproject.chaos.watching import Watcher
from scheduling.actions.audit import Operator
from scheduling.actions.cancel_runs import cancel_runs
from scheduling.actions.retry_runs import retry_runs
from scheduling.clock import database_now
from scheduling.engine.plan import plan_due_jobs
from scheduling.models import Job, Run, RunEvent, ScheduleEpoch, SkippedTicks
from tests.conftest import JobMaker


@pytest.fixture
def job(make_job: JobMaker, operator: Operator) -> Job:
    """Five ticks: two ran, or would have, had they not been cancelled; three were coalesced."""
    made = make_job(scope=SCOPE, every=1, max_parallel=2, misfire_grace=timedelta(days=1))
    now = database_now() + timedelta(seconds=5.5)
    plan_due_jobs(SCOPE, now=now)
    cancel_runs(list(Run.objects.values_list("id", flat=True)), operator)
    ScheduleEpoch.objects.update(to_at=now)
    return made


def history(job: Job) -> History:
    made_at = job.created_at
    changes = [Change(job=job.job_id, at=made_at + timedelta(seconds=2), disables=True)]
    return read_history(
        meddler=Meddler(seed=1),
        clients=Clients([], seed=1),
        watcher=Watcher(),
        final_changes=changes,
        frozen=False,
    )


def found(job: Job) -> set[str]:
    return {violation.kind for violation in check(history(job))}


def test_an_untouched_ledger_has_nothing_to_find(job: Job) -> None:
    read = history(job)
    assert check(read) == []
    assert (len(read.runs), sum(skip.count for skip in read.skips)) == (2, 3)


def test_a_run_that_is_deleted_is_missing(job: Job) -> None:
    deleted = Run.objects.order_by("id").first()
    assert deleted is not None
    deleted.delete()
    assert found(job) == {"missing"}


def test_skipped_ticks_that_are_deleted_are_missing(job: Job) -> None:
    SkippedTicks.objects.all().delete()
    assert found(job) == {"missing"}


def test_a_run_that_is_moved_to_another_tick_is_invented(job: Job) -> None:
    run = Run.objects.order_by("scheduled_for").last()
    assert run is not None
    assert run.scheduled_for is not None
    Run.objects.filter(pk=run.pk).update(scheduled_for=run.scheduled_for + timedelta(seconds=0.5))
    assert found(job) == {"invented", "missing"}


def test_an_end_that_is_told_again_is_seen(job: Job) -> None:
    told = RunEvent.objects.filter(kind="job_cancelled").order_by("id").first()
    assert told is not None
    told.pk, told.seq = None, None
    told.save()
    assert found(job) == {"outcome"}


def test_an_operators_retry_is_no_second_outcome(job: Job, operator: Operator) -> None:
    (run,) = retry_runs([Run.objects.order_by("id")[0].pk], operator)
    assert found(job) == {"unsettled"}
    cancel_runs([run.pk], operator)
    assert found(job) == set()
    assert [read.reopened for read in history(job).runs] == [1, 0]
