"""The proof of the account finds every kind of lie."""

from datetime import datetime, timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db.models import F

from scheduling.engine.plan import plan_due_jobs
from scheduling.ledger import account_of
from scheduling.models import Job, Run, ScheduleEpoch, SkippedTicks
from tests.conftest import JobMaker


@pytest.fixture
def history(make_job: JobMaker) -> tuple[Job, datetime]:
    """A job with two runs, two stretches of skipped ticks, and nothing left out."""
    job = make_job(overlap="queue", misfire_grace=timedelta(seconds=5))
    due = job.next_due_at
    assert due is not None
    for seconds in (0, 55, 110, 118):
        plan_due_jobs("real", now=due + timedelta(seconds=seconds))
    assert Run.objects.count() >= 2
    assert SkippedTicks.objects.count() >= 2
    return job, due + timedelta(seconds=118)


def test_an_honest_history_closes(history: tuple[Job, datetime]) -> None:
    job, now = history
    account = account_of(job.pk, now=now)
    assert account.closes
    assert account.planned == 12


def test_ticks_that_no_beat_has_seen_yet_are_planned_and_open(
    history: tuple[Job, datetime],
) -> None:
    job, now = history
    before = account_of(job.pk, now=now)
    after = account_of(job.pk, now=now + timedelta(seconds=30))
    assert (after.planned, after.open) == (before.planned + 3, before.open + 3)
    assert after.closes


def test_a_missing_run_is_found(history: tuple[Job, datetime]) -> None:
    job, now = history
    run = Run.objects.order_by("scheduled_for").last()
    assert run is not None
    assert run.scheduled_for is not None
    run.delete()
    account = account_of(job.pk, now=now)
    assert not account.closes
    assert str(run.scheduled_for) in account.problems[0]


def test_a_missing_verdict_is_found(history: tuple[Job, datetime]) -> None:
    job, now = history
    SkippedTicks.objects.earliest("after").delete()
    assert "have no verdict" in account_of(job.pk, now=now).problems[0]


def test_a_doubled_verdict_is_found(history: tuple[Job, datetime]) -> None:
    job, now = history
    run = Run.objects.latest("scheduled_for")
    assert run.scheduled_for is not None
    assert run.epoch is not None
    SkippedTicks.objects.create(
        job=job,
        epoch=run.epoch,
        reason="missed",
        after=run.scheduled_for - timedelta(seconds=1),
        until=run.scheduled_for,
        count=1,
    )
    (problem,) = account_of(job.pk, now=now).problems
    assert problem.startswith(f"the run of {run.scheduled_for} and skipped ticks ")
    assert problem.endswith(" overlap")


def test_an_invented_tick_is_found(history: tuple[Job, datetime]) -> None:
    job, now = history
    run = Run.objects.latest("scheduled_for")
    assert run.scheduled_for is not None
    run.scheduled_for -= timedelta(seconds=3)
    run.save()
    problems = account_of(job.pk, now=now).problems
    assert any("never planned" in problem for problem in problems)


def test_a_wrong_count_is_found(history: tuple[Job, datetime]) -> None:
    job, now = history
    SkippedTicks.objects.update(count=99)
    problems = account_of(job.pk, now=now).problems
    assert any("count 99, their schedule has " in problem for problem in problems)


def test_the_command_exits_with_one_when_an_account_does_not_close(
    history: tuple[Job, datetime],
) -> None:
    del history
    _move_an_hour_back()
    call_command("ledger", "--check", stdout=StringIO())
    SkippedTicks.objects.all().delete()
    out = StringIO()
    with pytest.raises(SystemExit) as left:
        call_command("ledger", "--check", stdout=out)
    assert left.value.code == 1
    assert "DOES NOT CLOSE" in out.getvalue()


def _move_an_hour_back() -> None:
    """The command asks the real clock, and the history reaches into the future."""
    hour = timedelta(hours=1)
    epoch = ScheduleEpoch.objects.get()
    anchor = datetime.fromisoformat(epoch.spec["anchor"]) - hour
    epoch.spec["anchor"] = anchor.isoformat()
    epoch.from_at -= hour
    epoch.save()
    Job.objects.update(planned_until=F("planned_until") - hour)
    Run.objects.update(scheduled_for=F("scheduled_for") - hour)
    SkippedTicks.objects.update(after=F("after") - hour, until=F("until") - hour)


@pytest.mark.parametrize(
    ("since", "complaint"),
    [
        ("soon", "is no time: give 2026-01-31T09:00:00Z"),
        ("", "is no time"),
        ("2026-13-45T00:00:00Z", "give 2026-01-31T09:00:00Z"),
        ("2026-01-01T00:00:00", "has no zone: add one, such as 2026-01-01T00:00:00Z"),
        ("2999-01-01T00:00:00Z", "is in the future: it is 2"),
        ("2999-01-01", "is in the future"),
        ("-01:00:00", "is in the future"),
        ("999999999 days", "give 2026-01-31T09:00:00Z"),
        ("0001-01-01", "give 2026-01-31T09:00:00Z"),
    ],
)
def test_a_since_that_cannot_be_is_refused_in_one_line_with_an_example(
    db: None, since: str, complaint: str
) -> None:
    del db
    with pytest.raises(CommandError) as refused:
        call_command("ledger", f"--since={since}")
    assert str(refused.value).startswith(f"--since {since!r}")
    assert complaint in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("since", ["1000-01-01T00:00:00Z", "1999-01-01", "7 days", "01:00:00"])
def test_a_since_may_be_an_instant_a_day_or_an_age(db: None, since: str) -> None:
    del db
    call_command("ledger", "--since", since, stdout=StringIO())


def test_an_unknown_job_is_refused(db: None) -> None:
    del db
    with pytest.raises(CommandError, match="no job 'nope'"):
        call_command("ledger", "--job", "nope")
