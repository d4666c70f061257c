"""Old work of offices goes, whole; what something still waits for stays (SPEC A20)."""

from datetime import timedelta

import pytest

from scheduling.actions.retry_runs import retry_runs
from scheduling.clock import database_now
from scheduling.engine.events.sequence import number_events
from scheduling.engine.events.tallies import ended_of, fold_events
from scheduling.engine.pruning.cleaner import Cleaner
from scheduling.engine.pruning.office_work import prune_office_work
from scheduling.models import Attempt, Office, Run, RunDependency, RunEvent, Submission
from tests.conftest import OPERATOR
from tests.offices import end, make_office, submit, turn, work

pytestmark = pytest.mark.django_db

LATER = timedelta(days=31)


def finished(office: Office, *keys: str) -> dict[str, Run]:
    """Submit a row of work, each waiting for the one before, and end all of it."""
    before: list[str] = []
    works = []
    for key in keys:
        works.append(work(key, *before))
        before = [key]
    runs = submit(office, *works)
    while claimed := turn():
        for run in claimed:
            end(run)
    number_events()
    fold_events("real")
    return runs


def prune(*, rows: int = 1_000, after: timedelta = LATER) -> int:
    return prune_office_work("real", now=database_now() + after, rows=rows, kept=[])


def test_what_ended_long_ago_goes_with_all_that_hangs_on_it() -> None:
    office = make_office()
    finished(office, "a", "b", "c")
    assert prune(after=timedelta(days=29)) == 0
    assert prune() == 3
    for table in (Run, RunDependency, RunEvent, Submission):
        assert not table.objects.exists()
    assert not Attempt.objects.exists()
    assert ended_of(office).done == 3  # how much it was is known for ever


def test_a_large_submission_goes_piece_by_piece() -> None:
    finished(make_office(), *(f"{number}" for number in range(7)))
    assert [prune(rows=3) for _ in range(4)] == [3, 3, 1, 0]
    assert not Submission.objects.exists()


def test_what_is_open_or_waited_for_from_elsewhere_stays() -> None:
    office = make_office()
    first = finished(office, "a")["a"]
    Run.objects.filter(pk=first.pk).update(state="failed")
    second = submit(office, work("b", str(first.pk)))["b"]
    assert second.unmet == 1
    assert prune() == 0


def test_a_retry_keeps_it() -> None:
    runs = finished(make_office(), "a", "b")
    retry_runs([runs["b"].pk], OPERATOR)
    assert prune() == 0
    assert Run.objects.count() == 2


def test_the_beat_does_it_in_its_spare_time() -> None:
    finished(make_office(), "a", "b")
    clock = iter(float(second) for second in range(10_000))
    cleaner = Cleaner("real", clock=lambda: next(clock) / 100)
    for _ in range(3):
        cleaner.clean_up(now=database_now() + LATER)
    # The last event's run stays: the numbers of events go on from it.
    assert Run.objects.count() == 1
