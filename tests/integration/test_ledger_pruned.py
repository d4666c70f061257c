"""The proof of the account across pruning: what was folded is held against the schedule by days."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import call_command

from scheduling.engine.pruning.prune import prune
from scheduling.engine.schedules import Schedule
from scheduling.ledger import Account, Trouble, account_of, history
from scheduling.models import Job, LedgerTotal, Run, ScheduleEpoch, SkippedTicks
from scheduling.recurrence import Interval
from tests.conftest import JobMaker
from tests.past import run_of, write_past

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NOW = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - DAY
BEGIN = NOW - 100 * DAY
FIRST_KEPT = (NOW - 90 * DAY).date()


@pytest.fixture
def job(make_job: JobMaker) -> Job:
    """Twenty days of hourly ticks, ten and a half of them pruned; then it was disabled."""
    job = make_job(schedule=Schedule(recurrence=Interval(BEGIN, HOUR)))
    ScheduleEpoch.objects.update(from_at=BEGIN)
    job.planned_until = BEGIN
    write_past(job, until=BEGIN + 20 * DAY)
    ScheduleEpoch.objects.update(to_at=BEGIN + 20 * DAY)
    while prune([job.pk], now=NOW, rows=100).rows:
        pass
    job.refresh_from_db()
    return job


def account(job: Job, since: datetime | None = None) -> Account:
    return account_of(job.pk, now=NOW, since=since)


def test_the_account_closes_over_totals_and_rows_together(job: Job) -> None:
    assert job.pruned_until is not None
    assert account(job).closes
    assert account(job).planned == 20 * 24
    assert account(job).verdicts == {"done": 384, "skipped:overlap": 96}


def test_a_window_behind_the_pruned_days_is_taken_to_the_instant(job: Job) -> None:
    begin = datetime.combine(FIRST_KEPT, datetime.min.time(), UTC) + 90 * timedelta(minutes=1)
    found = account(job, begin)
    assert found.whole_days_from is None
    assert found.planned == 22 + 9 * 24 + 13  # from 02:00 of that day to 12:00 of the last
    assert found.closes


def test_a_window_that_begins_in_pruned_history_begins_with_the_day(job: Job) -> None:
    found = account(job, BEGIN + 5 * DAY + 3 * HOUR)
    assert found.whole_days_from == (BEGIN + 5 * DAY).date()
    assert found.planned == 14 * 24 + 12 + 24 + 1  # from 00:00 of that day to 12:00 of the last
    assert found.closes


@pytest.mark.parametrize(
    ("lie", "trouble", "words"),
    [
        (
            lambda: LedgerTotal.objects.filter(day=(BEGIN + DAY).date(), verdict="done").delete(),
            Trouble.MISCOUNTED,
            "the schedule has 24 ticks, the totals of that day ",
        ),
        (
            lambda: LedgerTotal.objects.filter(verdict="done").update(count=25),
            Trouble.MISCOUNTED,
            "the totals of that day ",
        ),
        (
            lambda: Job.objects.update(pruned_until=BEGIN + 15 * DAY),
            Trouble.DOUBLED,
            "is in the totals of its day already",
        ),
        (
            lambda: Job.objects.update(pruned_until=BEGIN + 5 * DAY),
            Trouble.MISSING,
            " have no verdict",
        ),
        (
            lambda: SkippedTicks.objects.update(after=BEGIN),
            Trouble.DOUBLED,
            "reaches into what was pruned",
        ),
        (lambda: Run.objects.update(epoch=None), Trouble.INVENTED, "lies in no time of its sch"),
        (
            lambda: ScheduleEpoch.objects.update(to_at=BEGIN + 15 * DAY),
            Trouble.INVENTED,
            "lies in no time of its schedule",
        ),
        (
            lambda: ScheduleEpoch.objects.update(kind="moon"),
            Trouble.UNREADABLE,
            "cannot be read: schedule kind 'moon'",
        ),
    ],
    ids=[
        "a total deleted", "totals changed", "the edge too late", "the edge too early",
        "a stretch before the edge", "runs of no epoch", "an epoch cut", "an epoch unreadable",
    ],
)  # fmt: skip
def test_every_lie_about_pruned_history_is_found(
    job: Job, lie: Callable[[], object], trouble: Trouble, words: str
) -> None:
    lie()
    found = account(job)
    assert not found.closes
    assert trouble in found.troubles
    assert any(words in problem for problem in found.problems), found.problems


def test_two_schedules_of_one_time_are_found(job: Job) -> None:
    epoch = ScheduleEpoch.objects.get()
    epoch.pk, epoch.from_at = None, BEGIN + 19 * DAY
    epoch.save()
    assert any("epochs " in problem and "overlap" in problem for problem in account(job).problems)


def test_runs_without_a_tick_stand_beside_the_account(job: Job) -> None:
    run_of(job, trigger="manual", created_at=BEGIN, finished_at=BEGIN + 15 * DAY).save()
    run_of(job, trigger="manual", state="ready", created_at=BEGIN).save()
    LedgerTotal.objects.create(job=job, day=BEGIN.date(), verdict="manual:done", count=7)
    found = account(job)
    assert found.unplanned == {"manual:done": 8, "manual:open": 1}
    assert found.closes
    assert found.planned == 20 * 24
    assert account(job, NOW - DAY).unplanned == {"manual:open": 1}


@pytest.mark.parametrize("page", [1, 2, 7])
def test_rows_are_read_in_pages_without_losing_one_between_them(
    job: Job, page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = account(job)
    monkeypatch.setattr(history, "PAGE", page)
    assert account(job) == expected


def test_the_command_says_in_words_what_is_wrong_and_what_to_do(job: Job) -> None:
    Run.objects.filter(job=job).delete()
    out = StringIO()
    with pytest.raises(SystemExit):
        call_command("ledger", "--check", stdout=out)
    lines = out.getvalue().splitlines()
    assert "DOES NOT CLOSE" in lines[2]
    told = [line for line in lines if line.startswith("job: ")]
    assert len(told) == 21
    assert told[0].startswith(f"job: 2 ticks from {FIRST_KEPT} 00:00:00+00:00 to ")
    assert told[0].endswith(f"{FIRST_KEPT} 01:00:00+00:00 have no verdict")
    assert told[-1].startswith("job: and ")
    assert Trouble.MISSING.value in lines
    assert Trouble.DOUBLED.value not in lines
    assert lines[-1] == "480 planned ticks; 0 of 1 accounts close."


@pytest.mark.usefixtures("job")
def test_the_command_says_when_it_begins_with_a_whole_day() -> None:
    since = BEGIN + 5 * DAY
    out = StringIO()
    call_command("ledger", "--check", "--since", since.isoformat(), stdout=out)
    assert f"Counted from {since.date()} 00:00 UTC for job: history as old" in out.getvalue()
    out = StringIO()
    call_command("ledger", "--json", "--since", since.isoformat(), stdout=out)
    told = json.loads(out.getvalue())["jobs"][0]
    assert told["whole_days_from"] == since.date().isoformat()
    assert (told["closes"], told["unplanned"], told["problems_found"]) == (True, {}, 0)
