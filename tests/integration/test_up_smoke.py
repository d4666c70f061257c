"""The verdict of `up --smoke`, read from the ledger."""

from datetime import UTC, datetime, timedelta

import pytest
from pytest_django.fixtures import Settings

from opsproject.launch.errors import SmokeError
from opsproject.launch.smoke import ledger_table, require_none_missing
from scheduling.models import Job, Run

pytestmark = pytest.mark.django_db
START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)


@pytest.fixture
def job(settings: Settings) -> Job:
    """Return the standing job `pipeline`, the only one."""
    settings.OPS_TARGETS = {"pipeline": settings.OPS_TARGETS["pipeline"]}
    return Job.objects.create(
        scope=settings.SCHEDULER_SCOPE, job_id="pipeline", task="t", queue="q"
    )


def test_the_newest_run_of_a_missing_job_says_why(job: Job) -> None:
    add_run(job, minute=1, state="done")
    add_run(job, minute=2, state="failed", error="Traceback\nSheetError: row 3 has no price")
    with pytest.raises(
        SmokeError, match=r"no done run of pipeline \(last run is failed: SheetError: row 3"
    ):
        require_none_missing(frozenset({"pipeline"}))


def test_a_missing_job_without_a_run_points_at_the_beat(job: Job) -> None:
    with pytest.raises(SmokeError, match=rf"{job.job_id} \(no tick was planned: see .* beat\)"):
        require_none_missing(frozenset({"pipeline"}))


def test_nothing_missing_is_a_success() -> None:
    require_none_missing(frozenset())


def test_the_table_shows_the_runs_since_the_start_in_their_order(job: Job) -> None:
    for minute, state in ((-1, "done"), (1, "done"), (2, "skipped")):
        add_run(job, minute=minute, state=state)
    headings, _, *rows = ledger_table(START).splitlines()
    assert headings.split()[0] == "job"
    assert [row.split()[:3] for row in rows] == [
        ["pipeline", "09:01:00.000", "done"],
        ["pipeline", "09:02:00.000", "skipped"],
    ]


def add_run(job: Job, *, minute: int, state: str, error: str = "") -> None:
    """Add a finished run of that minute."""
    tick = START + timedelta(minutes=minute)
    Run.objects.create(
        scope=job.scope,
        job=job,
        trigger="scheduler",
        task=job.task,
        queue=job.queue,
        timeout=timedelta(minutes=1),
        retry_backoff="linear",
        state=state,
        error=error,
        scheduled_for=tick,
        created_at=tick,
        finished_at=tick,
    )
