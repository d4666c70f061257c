"""Events are numbered after their commit, in order, a bounded number at a time."""

import pytest

from scheduling.clock import database_now
from scheduling.engine.events import sequence
from scheduling.engine.events.sequence import number_events
from scheduling.engine.new_run import new_run
from scheduling.models import RunEvent
from scheduling.models.event import EventKind
from scheduling.states import Trigger
from scheduling.transitions import open_runs
from tests.conftest import JobMaker


def test_a_flood_of_events_is_numbered_in_portions_without_a_gap(
    make_job: JobMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sequence, "BATCH", 3)
    monkeypatch.setattr(sequence, "MOST_BATCHES", 2)
    run = new_run(make_job(), trigger=Trigger.MANUAL, now=database_now())
    open_runs([run])
    RunEvent.objects.bulk_create(
        RunEvent(scope="real", kind=EventKind.STARTED, run=run, attempt=n, at=database_now())
        for n in range(1, 9)
    )
    assert [number_events(), number_events(), number_events()] == [6, 2, 0]
    numbered = RunEvent.objects.order_by("seq").values_list("seq", "attempt")
    assert list(numbered) == [(n, n) for n in range(1, 9)]
