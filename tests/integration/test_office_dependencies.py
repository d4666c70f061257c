"""Work waits for what it depends on, falls with it, and comes back with it (SPEC B1, B2)."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from scheduling.actions.cancel_runs import cancel_runs
from scheduling.actions.offices.submit_work import submit_work
from scheduling.actions.retry_runs import retry_runs
from scheduling.clock import database_now
from scheduling.engine import unbuilt
from scheduling.engine.unbuilt import LONGEST_BUILD, take_away_unbuilt
from scheduling.errors import (
    DependencyCycle,
    InvalidJob,
    KeyReused,
    OfficeArchived,
    SubmissionUnderway,
    UnknownReference,
)
from scheduling.models import AuditEntry, Run, RunDependency, RunEvent, Submission
from scheduling.models.office import OfficeState
from scheduling.states import Outcome, RunState
from scheduling.transitions import reopening, rows, unlocking
from tests.offices import OPERATOR, end, make_office, names, states, submit, turn, work

pytestmark = pytest.mark.django_db


def nothing_is_kept() -> bool:
    return not any(model.objects.exists() for model in (Run, RunDependency, Submission, RunEvent))


# -- submitting ----------------------------------------------------------------------------------


def test_what_waits_for_nothing_starts_and_the_rest_follows_in_order() -> None:
    runs = submit(
        make_office(max_concurrent=9),
        *(work("build"), work("test", "build"), work("lint"), work("ship", "test", "lint")),
    )
    assert names(turn()) == ["build", "lint"]
    end(runs["build"])
    assert names(turn()) == ["test"]
    end(runs["test"])
    assert turn() == []
    end(runs["lint"])
    assert names(turn()) == ["ship"]
    end(runs["ship"])
    assert set(states(runs).values()) == {"done"}


def test_what_a_submission_asks_does_not_grow_with_it() -> None:
    office, asked = make_office(), []
    for count in (1, 200):
        with CaptureQueriesContext(connection) as queries:
            submit_work(office, [work(f"w{number}") for number in range(count)], OPERATOR)
        asked.append(sum(query["sql"].startswith("SELECT") for query in queries.captured_queries))
    assert asked[0] == asked[1]


def test_a_submission_is_one_line_of_the_trail() -> None:
    submit(make_office(), work("one"), work("two"))
    entry = AuditEntry.objects.get(action="submit_work")
    assert entry.after
    assert entry.after["runs"] == 2


@pytest.mark.parametrize(
    ("works", "error", "said"),
    [
        ([work("a", "b"), work("b", "a"), work("c")], DependencyCycle, "a"),
        ([work("a", "nobody"), work("b")], UnknownReference, "'nobody'"),
        ([work("a"), work("a")], InvalidJob, "jobs.1.id: 'a' is there twice"),
        ([work("a"), work("")], InvalidJob, "jobs.1.id: is empty"),
        ([work("a", params={"x": float("nan")})], InvalidJob, "jobs.0.params: has nan"),
        ([work("a", queue="mock.else")], InvalidJob, "belongs to scope 'mock'"),
        ([work("a", max_retries=-1)], InvalidJob, "jobs.0.max_retries: give 0 to 1,000"),
        ([], InvalidJob, "has 0 entries"),
    ],
)
def test_what_cannot_be_taken_is_named_and_nothing_of_it_is_kept(
    works: list[Any], error: type[Exception], said: str
) -> None:
    office = make_office()
    with pytest.raises(error, match=said):
        submit_work(office, works, OPERATOR)
    assert nothing_is_kept()


def test_a_run_of_another_office_is_no_reference() -> None:
    elsewhere = submit(make_office("elsewhere"), work("a"))
    with pytest.raises(UnknownReference):
        submit(make_office(), work("b", str(elsewhere["a"].pk)))


def test_an_archived_office_takes_nothing() -> None:
    with pytest.raises(OfficeArchived, match="activate it first"):
        submit(make_office(state=OfficeState.ARCHIVED), work("a"))
    assert nothing_is_kept()


def test_the_same_request_twice_is_one_submission() -> None:
    office = make_office()
    first = submit_work(office, [work("a")], OPERATOR, idempotency_key="k")
    assert submit_work(office, [work("a")], OPERATOR, idempotency_key="k") == first
    assert Run.objects.count() == 1
    with pytest.raises(KeyReused):
        submit_work(office, [work("b")], OPERATOR, idempotency_key="k")


def test_a_request_that_is_still_at_work_is_not_answered_for() -> None:
    office = make_office()
    submission = submit_work(office, [work("a")], OPERATOR, idempotency_key="k")
    Submission.objects.filter(pk=submission.pk).update(built_at=None)
    with pytest.raises(SubmissionUnderway):
        submit_work(office, [work("a")], OPERATOR, idempotency_key="k")


def test_nothing_starts_before_all_of_it_is_there_and_what_is_left_half_is_taken_away() -> None:
    runs = submit(make_office(), work("a"), work("b", "a"))
    Submission.objects.update(built_at=None)
    assert turn() == []
    now = database_now()
    assert take_away_unbuilt("real", now=now) == 0
    assert states(runs) == {"a": "pending", "b": "pending"}
    RunEvent.objects.all().delete()
    assert take_away_unbuilt("real", now=now + 2 * LONGEST_BUILD) == 1
    assert nothing_is_kept()


def test_a_failure_while_it_is_written_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: object) -> None:
        raise RuntimeError("disk full")

    office = make_office()
    monkeypatch.setattr("scheduling.actions.offices.submit_work.await_ends", fails)
    with pytest.raises(RuntimeError):
        submit_work(office, [work("a"), work("b", "a")], OPERATOR)
    assert nothing_is_kept()
    assert unbuilt.AT_ONCE > 1


def test_work_waits_for_an_earlier_submission_also_where_that_has_ended() -> None:
    office = make_office()
    first = submit(office, work("a"), work("fails"))
    turn()
    end(first["a"])
    end(first["fails"], Outcome.FAILED, code="BROKEN")
    turn()
    later = submit(office, work("b", str(first["a"].pk)), work("c", str(first["fails"].pk)))
    assert names(turn()) == ["b"]
    assert states(later) == {"b": "queued", "c": f"cancelled dependency:{first['fails'].pk}"}


# -- falling with what it waits for --------------------------------------------------------------


def test_what_waits_for_a_failure_is_cancelled_transitively_for_it() -> None:
    runs = submit(
        make_office(),
        *(work("a"), work("b", "a"), work("c", "b"), work("d", "c", "x"), work("x")),
    )
    turn()
    end(runs["a"], Outcome.FAILED, code="GIT_CONFLICT")
    turn()
    fallen = f"cancelled dependency:{runs['a'].pk}"
    assert states(runs) == {
        "a": "failed GIT_CONFLICT", "b": fallen, "c": fallen, "d": fallen, "x": "queued",
    }  # fmt: skip
    kinds = RunEvent.objects.filter(run__in=[runs[name].pk for name in "bcd"])
    assert set(kinds.values_list("kind", flat=True)) == {"job_cancelled"}
    assert not Run.objects.ended_but_awaited().exists()


def test_a_run_that_is_retried_keeps_who_waits_for_it() -> None:
    runs = submit(make_office(), work("a"), work("b", "a"))
    turn()
    end(runs["a"], Outcome.FAILED, code="NETWORK_ERROR", retryable=True)
    turn()
    assert states(runs) == {"a": "pending retry", "b": "pending"}


@pytest.mark.parametrize("state", [RunState.PENDING, RunState.QUEUED])
def test_a_cancelled_run_takes_those_along_who_wait_for_it(state: RunState) -> None:
    runs = submit(make_office(), work("root"), work("a", "root"), work("b", "a"))
    turn()
    if state == RunState.QUEUED:
        end(runs["root"])
        turn()
    runs["a"].refresh_from_db()
    assert runs["a"].state == state
    cancel_runs([runs["a"].pk], OPERATOR)
    turn()
    assert states(runs)["b"] == f"cancelled dependency:{runs['a'].pk}"


def test_unlocking_is_done_in_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unlocking, "MOST_DEPENDENTS", 2)
    works = [work(f"w{number}", "a") for number in range(5)]
    runs = submit(make_office(max_concurrent=9), work("a"), *works)
    turn()
    end(runs["a"])
    assert len(turn()) == 5


# -- coming back ---------------------------------------------------------------------------------


def test_a_retry_brings_back_who_fell_with_it() -> None:
    runs = submit(make_office(), work("a"), work("b", "a"), work("c", "b"))
    turn()
    end(runs["a"], Outcome.FAILED, code="BROKEN")
    turn()
    retry_runs([runs["a"].pk], OPERATOR)
    assert states(runs) == {"a": "ready retry", "b": "pending retry", "c": "pending retry"}
    for name in "abc":
        assert names(turn()) == [name]
        end(runs[name])
    assert AuditEntry.objects.filter(action="revive_run").count() == 2


def test_who_waits_for_a_second_failure_stays_cancelled_for_that_one() -> None:
    runs = submit(make_office(), work("a"), work("b"), work("both", "a", "b"), work("on", "both"))
    turn()
    for name in "ab":
        end(runs[name], Outcome.FAILED, code="BROKEN")
    turn()
    retry_runs([runs["a"].pk], OPERATOR)
    fallen = f"cancelled dependency:{runs['b'].pk}"
    assert states(runs) == {
        "a": "ready retry", "b": "failed BROKEN", "both": fallen, "on": fallen,
    }  # fmt: skip
    retry_runs([runs["b"].pk], OPERATOR)
    assert names(turn()) == ["a", "b"]
    for name in "ab":
        end(runs[name])
    assert names(turn()) == ["both"]


def test_who_fell_with_another_does_not_come_back_alone() -> None:
    runs = submit(make_office(), work("a"), work("b", "a"))
    turn()
    end(runs["a"], Outcome.FAILED, code="BROKEN")
    turn()
    assert retry_runs([runs["b"].pk], OPERATOR) == []


def test_an_error_code_that_reads_like_our_reason_hinders_no_retry() -> None:
    runs = submit(make_office(), work("a"), work("b", "a"))
    turn()
    end(runs["a"], Outcome.FAILED, code="dependency:elsewhere")
    turn()
    assert states(runs)["b"] == f"cancelled dependency:{runs['a'].pk}"
    assert len(retry_runs([runs["a"].pk], OPERATOR)) == 1
    assert states(runs)["b"] == "pending retry"


def test_a_run_that_was_cancelled_while_it_waited_waits_again() -> None:
    runs = submit(make_office(), work("a"), work("b", "a"))
    cancel_runs([runs["b"].pk], OPERATOR)
    turn()
    retry_runs([runs["b"].pk], OPERATOR)
    assert states(runs) == {"a": "queued", "b": "pending retry"}
    end(runs["a"])
    assert names(turn()) == ["b"]


def test_it_goes_on_at_once_where_what_it_waits_for_was_done_meanwhile() -> None:
    runs = submit(make_office(), work("a"), work("b", "a"))
    cancel_runs([runs["b"].pk], OPERATOR)
    turn()
    end(runs["a"])
    turn()
    retry_runs([runs["b"].pk], OPERATOR)
    assert names(turn()) == ["b"]


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer at a time")
@pytest.mark.django_db(transaction=True)
def test_who_falls_while_a_retry_waits_for_its_lock_comes_back_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The retry had seen nobody fall yet; the end was passed on before it got the lock."""
    runs = submit(
        make_office(max_concurrent=9),
        *(work("up"), work("down", "up"), work("far", "down"), work("beside", "up")),
    )
    turn()
    end(runs["up"], Outcome.FAILED)
    passed_on: list[bool] = []

    def lock_behind_another(*args: Any) -> list[Run]:
        if not passed_on:
            passed_on.append(True)
            with ThreadPoolExecutor(1) as elsewhere:
                elsewhere.submit(turn_elsewhere).result(timeout=20)
        return rows.locked(*args)

    monkeypatch.setattr(reopening, "locked", lock_behind_another)
    retry_runs([runs["up"].pk], OPERATOR)
    assert states(runs) == {
        "up": "ready retry",
        "down": "pending retry",
        "far": "pending retry",
        "beside": "pending retry",
    }


def turn_elsewhere() -> None:
    try:
        turn()
    finally:
        connection.close()
