"""What an office has behind it is counted by the events, rightly at every moment (SPEC C2)."""

from collections import Counter
from datetime import timedelta
from typing import Any

import hypothesis.strategies as st
import pytest
from django.db.models import Avg, F
from hypothesis import HealthCheck, given, settings
from hypothesis.extra.django import TestCase

from scheduling.actions.cancel_runs import cancel_runs
from scheduling.actions.retry_runs import retry_runs
from scheduling.clock import database_now
from scheduling.engine.events import tallies
from scheduling.engine.events.sequence import number_events
from scheduling.engine.events.tallies import ended_of, fold_events
from scheduling.engine.new_run import new_run
from scheduling.engine.resolve import resolve_waiting
from scheduling.models import EventCursor, Notice, Office, Run, Submission
from scheduling.states import Outcome, RunState, Trigger
from scheduling.transitions import open_runs
from tests.claims import claim_ready
from tests.conftest import OPERATOR, JobMaker
from tests.offices import end, make_office, submit, turn, work

OUTCOMES = (Outcome.DONE, Outcome.FAILED, Outcome.TIMEOUT)
STEPS = st.one_of(
    st.tuples(st.sampled_from(["done", "failed", "timeout"]), st.integers(0, 5)),
    st.tuples(st.sampled_from(["cancel", "retry"]), st.integers(0, 5)),
    st.tuples(st.sampled_from(["number", "fold"]), st.just(0)),
)


def counted(office: Office) -> dict[str, Any]:
    """Count the runs themselves."""
    runs = Run.objects.of_office(office)
    found = Counter(runs.values_list("state", flat=True))
    average = runs.filter(state="done").aggregate(t=Avg(F("finished_at") - F("started_at")))["t"]
    return {
        **{name: found[name] for name in ("done", "failed", "timeout", "cancelled")},
        "average": average.total_seconds() if average is not None else None,
    }


def told(office: Office) -> dict[str, Any]:
    ended = ended_of(office)
    average = ended.done_seconds / ended.timed if ended.timed else None
    names = ("done", "failed", "timeout", "cancelled")
    return {**{name: getattr(ended, name) for name in names}, "average": average}


class TestTallies(TestCase):
    """Whatever happens to runs, and whenever the tallies are kept."""

    @given(st.lists(STEPS, max_size=40), st.sampled_from([1, 2, 1_000]))
    @settings(max_examples=12, suppress_health_check=list(HealthCheck))
    def test_they_say_what_counting_the_runs_says(
        self, steps: list[tuple[str, int]], page: int
    ) -> None:
        office = make_office(max_concurrent=None, max_retries=1, retry_base=timedelta(0))
        works = [work(f"{number}") for number in range(6)]
        runs = list(submit(office, *works).values())
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tallies, "PAGE", page)
            for what, number in steps:
                self.do(what, runs[number])
                assert told(office) == pytest.approx(counted(office), abs=1e-5)
            number_events()
            while fold_events("real"):
                pass
            assert told(office) == pytest.approx(counted(office), abs=1e-5)

    @staticmethod
    def do(what: str, run: Run) -> None:
        run.refresh_from_db()
        match what:
            case "number":
                number_events()
            case "fold":
                fold_events("real")
            case "cancel":
                cancel_runs([run.pk], OPERATOR)
            case "retry":
                retry_runs([run.pk], OPERATOR)
            case _:
                now = database_now() + timedelta(seconds=1)
                resolve_waiting("real", now=now)
                claim_ready("real", now=now)
                run.refresh_from_db()
                if run.state in {RunState.QUEUED, RunState.RUNNING}:
                    end(run, Outcome(what), code="NETWORK_ERROR", retryable=True)


def test_the_default_office_has_the_runs_of_jobs(make_job: JobMaker) -> None:
    office = make_office("default")
    open_runs([new_run(make_job(), trigger=Trigger.MANUAL, now=database_now())])
    [run] = turn()
    end(run)
    number_events()
    fold_events("real")
    assert ended_of(office).done == 1
    assert EventCursor.objects.get().seq > 0


@pytest.mark.django_db
def test_a_submission_leaves_one_notice_and_the_next_failure_after_a_retry_another() -> None:
    office = make_office(max_retries=0, max_concurrent=None)
    works = [work("a"), work("x"), *(work(f"b{number}", "a") for number in range(5))]
    runs = submit(office, *works)
    turn()
    end(runs["a"], Outcome.FAILED, code="GIT_CONFLICT")
    end(runs["x"], Outcome.FAILED, code="OTHER")
    turn()
    notice = Notice.objects.get()
    assert (notice.run, notice.closed_at) == (runs["a"], None)
    assert notice.text == "a: failed in attempt 1: GIT_CONFLICT"
    retry_runs([runs["a"].pk], OPERATOR)
    notice.refresh_from_db()
    assert notice.closed_at is not None
    turn()
    end(runs["a"], Outcome.TIMEOUT)
    assert Notice.objects.filter(closed_at=None).count() == 1


@pytest.mark.django_db
def test_what_is_tried_again_leaves_no_notice() -> None:
    office = make_office(max_retries=1)
    run = submit(office, work("a"))["a"]
    turn()
    end(run, Outcome.FAILED, code="NETWORK_ERROR", retryable=True)
    assert not Notice.objects.exists()
    assert Submission.objects.exists()
