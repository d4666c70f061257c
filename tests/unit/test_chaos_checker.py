"""The checker of chaos sees what must not be, each in a history into which it was planted."""

import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from opsproject.chaos.checker import check, different_stories, most_at_once, overlaps
from opsproject.chaos.checker.ticks import planned_ticks
from opsproject.chaos.history import (
    Change,
    Epoch,
    Event,
    Excess,
    Execution,
    History,
    LedgerAttempt,
    LedgerRun,
    Paused,
    Promise,
    Skip,
    Submitted,
    Wait,
)
from opsproject.chaos.killer import Kill
from opsproject.chaos.notes import read_notes
from opsproject.chaos.report import Findings, recovery_times, report
from scheduling.recurrence import Chain, Interval

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
FIRST, SECOND = UUID(int=1), UUID(int=2)


def at(seconds: float) -> datetime:
    return BEGIN + timedelta(seconds=seconds)


def done_run(run: UUID, *, tick: float, began: float, ended: float) -> History:
    """A tick that ran in one attempt, as ledger and notes tell it when all is well."""
    return History(
        limits={},
        runs=[
            LedgerRun(
                id=run,
                job="job",
                epoch=1,
                tick=at(tick),
                state="done",
                told=f"{run}:1",
                finished_at=at(ended),
            )
        ],
        attempts=[
            LedgerAttempt(
                run=run, number=1, started_at=at(began), finished_at=at(ended), outcome="done"
            )
        ],
        events=[
            Event(run=run, attempt=1, kind="job_started"),
            Event(run=run, attempt=1, kind="job_completed"),
        ],
        executions=[
            Execution(
                run=run,
                attempt=1,
                pid=7,
                wall=BEGIN.timestamp() + began,
                began=began,
                last_seen=ended,
                outcome="returned",
            )
        ],
    )


@pytest.fixture
def history() -> History:
    """Four ticks of one job, every 10 s: one ran, two were skipped, one ran; nothing is wrong."""
    one = done_run(FIRST, tick=10, began=11, ended=12)
    other = done_run(SECOND, tick=40, began=41, ended=42)
    return History(
        limits={"job": 1},
        epochs=[
            Epoch(
                id=1,
                job="job",
                recurrence=Interval(BEGIN, timedelta(seconds=10)),
                from_at=BEGIN,
                to_at=at(45),
            )
        ],
        runs=[*one.runs, *other.runs],
        attempts=[*one.attempts, *other.attempts],
        skips=[Skip(id=1, epoch=1, reason="overlap", after=at(10), until=at(30), count=2)],
        events=[*one.events, *other.events],
        executions=[*one.executions, *other.executions],
        changes=[Change(job="job", at=at(44), disables=True)],
        promises=[Promise(job="job", key="key", run=FIRST)],
    )


def found(history: History) -> set[str]:
    return {violation.kind for violation in check(history)}


def with_second_attempt(history: History, *, began: float, first_until: float = 14) -> History:
    """The ledger lost the first run's attempt at 15 s, and it ran again."""
    (run, *runs), (attempt, *attempts) = history.runs, history.attempts
    execution, *executions = history.executions
    ended = began + 1
    again = replace(attempt, number=2, started_at=at(began), finished_at=at(ended))
    return replace(
        history,
        runs=[replace(run, attempt=2, told=f"{run.id}:2"), *runs],
        attempts=[replace(attempt, outcome="lost", finished_at=at(15)), again, *attempts],
        events=[*history.events, Event(run=run.id, attempt=2, kind="job_started")],
        executions=[
            replace(execution, last_seen=first_until, outcome=""),
            replace(execution, attempt=2, pid=8, began=began, last_seen=ended),
            *executions,
        ],
    )


def test_nothing_is_found_where_nothing_is_wrong(history: History) -> None:
    assert check(history) == []
    assert different_stories(history) == []


def test_every_tick_of_an_epoch_is_planned(history: History) -> None:
    assert planned_ticks(history.epochs[0], []) == [at(10), at(20), at(30), at(40)]
    bounded = replace(history.epochs[0], ends_at=at(30))
    assert planned_ticks(bounded, []) == [at(10), at(20), at(30)]


def test_a_tick_without_a_verdict_is_missing(history: History) -> None:
    shorter = replace(history.skips[0], until=at(20), count=1)
    assert found(replace(history, skips=[shorter])) == {"missing"}
    assert "2026-01-01T00:00:30" in str(check(replace(history, skips=[shorter]))[0])


def test_a_tick_that_was_skipped_and_ran_is_doubled(history: History) -> None:
    longer = replace(history.skips[0], until=at(40), count=3)
    assert found(replace(history, skips=[longer])) == {"doubled"}


def test_a_tick_with_two_runs_is_doubled(history: History) -> None:
    again = done_run(UUID(int=3), tick=10, began=13, ended=14)
    planted = replace(
        history,
        runs=[*history.runs, *again.runs],
        attempts=[*history.attempts, *again.attempts],
        events=[*history.events, *again.events],
        executions=[*history.executions, *again.executions],
    )
    assert found(planted) == {"doubled"}


@pytest.mark.parametrize("tick", [15, 50])
def test_a_run_of_a_tick_that_was_never_planned_is_invented(history: History, tick: float) -> None:
    first, *rest = history.runs
    planted = replace(history, runs=[replace(first, tick=at(tick)), *rest])
    assert found(planted) == {"invented", "missing"}


def test_a_run_of_an_unknown_epoch_is_invented(history: History) -> None:
    first, *rest = history.runs
    planted = replace(history, runs=[replace(first, epoch=9), *rest])
    assert found(planted) == {"invented", "missing"}


def test_skipped_ticks_that_count_too_many_are_invented(history: History) -> None:
    planted = replace(history, skips=[replace(history.skips[0], count=3)])
    assert found(planted) == {"invented"}


def test_a_job_that_runs_at_startup_does_so_once_unless_it_is_paused(history: History) -> None:
    asked = replace(history, at_startup=["job"])
    paused = Paused(job="job", since=at(1), until=None)
    assert found(asked) == {"missing"}
    assert found(replace(asked, pauses=[paused])) == set()
    assert found(replace(asked, pauses=[replace(paused, until=at(2))])) == {"missing"}
    one = LedgerRun(
        id=UUID(int=3), job="job", epoch=None, tick=None, state="skipped", trigger="startup"
    )
    assert found(replace(asked, runs=[*history.runs, one])) == set()
    two = [one, replace(one, id=UUID(int=4))]
    assert found(replace(asked, runs=[*history.runs, *two])) == {"doubled"}


def test_epochs_that_overlap_are_doubled(history: History) -> None:
    (epoch,) = history.epochs
    other = replace(epoch, id=2, from_at=at(43), to_at=at(49))
    assert found(replace(history, epochs=[epoch, other])) == {"doubled"}


def test_an_epoch_that_is_still_open_is_unsettled(history: History) -> None:
    (epoch,) = history.epochs
    planted = replace(history, epochs=[replace(epoch, to_at=None)])
    assert found(planted) == {"unsettled"}


def test_a_stretch_without_an_epoch_is_missing_unless_somebody_disabled_the_job(
    history: History,
) -> None:
    (epoch,) = history.epochs
    later = replace(epoch, id=2, from_at=at(52), to_at=at(59))
    planted = replace(history, epochs=[epoch, later])
    end = Change(job="job", at=at(58), disables=True)

    def asked(second: float, *, disables: bool = True, job: str = "job") -> set[str]:
        change = Change(job=job, at=at(second), disables=disables)
        return found(replace(planted, changes=[change, end]))

    assert asked(44) == set()
    assert asked(44, disables=False) == {"missing"}
    assert asked(50) == {"missing"}
    assert asked(44, job="other") == {"missing"}


def test_an_epoch_that_ended_before_anybody_asked_is_seen(history: History) -> None:
    """What was due in between is in no account."""
    late = Change(job="job", at=at(47.1), disables=True)
    assert found(replace(history, changes=[late])) == {"missing"}


@pytest.fixture
def chain(history: History) -> History:
    """The same two runs as the links of a chain: the second was planned at the end of the first."""
    (epoch,) = history.epochs
    first, second = history.runs
    return replace(
        history,
        epochs=[replace(epoch, recurrence=Chain(timedelta(seconds=28), None))],
        skips=[],
        runs=[
            replace(first, created_at=at(0), not_before=at(10)),
            replace(second, created_at=at(12), not_before=at(40)),
        ],
    )


def test_the_ticks_of_a_chain_are_its_links(chain: History) -> None:
    assert planned_ticks(chain.epochs[0], chain.runs) == [at(10), at(40)]
    assert check(chain) == []


def test_a_link_that_was_due_before_the_last_one_ended_is_doubled(chain: History) -> None:
    first, second = chain.runs
    early = replace(second, not_before=at(11))
    assert found(replace(chain, runs=[first, early])) == {"doubled"}


def test_a_chain_that_nothing_continues_is_missing_links(chain: History) -> None:
    first, second = chain.runs
    (epoch,) = chain.epochs
    change = Change(job="job", at=at(99), disables=True)
    later = replace(chain, epochs=[replace(epoch, to_at=at(100))], changes=[change])
    assert found(later) == {"missing"}
    paused = Paused(job="job", since=at(60), until=None)
    assert found(replace(later, pauses=[paused])) == set()
    stalled = replace(chain, runs=[first, replace(second, created_at=at(43))])
    assert found(stalled) == {"missing"}
    assert found(replace(stalled, pauses=[replace(paused, since=at(1), until=at(11))])) == {
        "missing"
    }


def test_a_chain_that_is_edited_goes_on_when_its_link_has_ended(chain: History) -> None:
    first, second = chain.runs
    (epoch,) = chain.epochs
    before = replace(epoch, id=8, to_at=at(1))
    after = replace(epoch, from_at=at(1), to_at=at(100))
    change = Change(job="job", at=at(1), disables=False)
    end = Change(job="job", at=at(99), disables=True)
    slow = replace(first, epoch=8, finished_at=at(60))
    late = replace(second, created_at=at(61), not_before=at(80), finished_at=at(90))
    edited = replace(chain, epochs=[before, after], runs=[slow, late], changes=[change, end])
    assert "missing" not in found(edited)
    assert "missing" in found(replace(edited, runs=[slow, replace(late, created_at=at(95))]))


def test_a_run_that_never_ended_is_unsettled(history: History) -> None:
    first, *rest = history.runs
    planted = replace(history, runs=[replace(first, state="running"), *rest])
    assert "unsettled" in found(planted)


def test_a_run_whose_end_was_told_twice_is_seen(history: History) -> None:
    planted = replace(history, events=[*history.events, history.events[1]])
    assert found(planted) == {"outcome"}


def test_a_run_whose_end_was_never_told_is_seen(history: History) -> None:
    events = [event for event in history.events if event != history.events[1]]
    assert found(replace(history, events=events)) == {"outcome"}


def test_a_start_that_was_told_twice_or_never_happened_is_seen(history: History) -> None:
    assert found(replace(history, events=[*history.events, history.events[0]])) == {"outcome"}
    never = Event(run=FIRST, attempt=5, kind="job_started")
    assert found(replace(history, events=[*history.events, never])) == {"outcome"}


def test_a_run_with_two_done_attempts_is_seen(history: History) -> None:
    planted = with_second_attempt(history, began=21)
    both = [replace(attempt, outcome="done") for attempt in planted.attempts]
    assert "outcome" in found(replace(planted, attempts=both))


def test_a_run_that_an_operator_has_tried_again_ends_once_more(history: History) -> None:
    planted = with_second_attempt(history, began=21)
    run, *rest = planted.runs
    told = Event(run=run.id, attempt=2, kind="job_completed")
    attempts = [replace(attempt, outcome="done") for attempt in planted.attempts]
    returned = [replace(execution, outcome="returned") for execution in planted.executions]
    planted = replace(
        planted, events=[*planted.events, told], attempts=attempts, executions=returned
    )
    assert found(planted) == {"outcome"}
    assert found(replace(planted, runs=[replace(run, reopened=1), *rest])) == set()


def test_a_run_that_is_tried_again_may_be_skipped_before_its_start(history: History) -> None:
    """It was cancelled while it waited, re-opened, and its job was paused."""
    events = [replace(history.events[1], kind="job_cancelled"), *history.events[2:]]
    run = replace(history.runs[0], state="skipped", reason="paused", reopened=1, told=None)
    planted = replace(
        history,
        runs=[run, *history.runs[1:]],
        attempts=history.attempts[1:],
        executions=history.executions[1:],
        events=events,
    )
    assert found(planted) == set()
    assert found(replace(planted, events=events[1:])) == {"outcome"}


def test_a_run_that_goes_on_after_it_was_cancelled_is_seen(history: History) -> None:
    assert found(replace(history, cancelled=[FIRST])) == {"outcome"}


def test_an_attempt_that_never_ended_is_seen(history: History) -> None:
    first, *rest = history.attempts
    planted = replace(history, attempts=[replace(first, finished_at=None, outcome=""), *rest])
    assert "outcome" in found(planted)


def test_a_skipped_run_that_was_started_is_seen(history: History) -> None:
    first, *rest = history.runs
    planted = replace(history, runs=[replace(first, state="skipped", reason="paused"), *rest])
    assert "outcome" in found(planted)


def test_a_done_run_that_was_never_executed_is_seen(history: History) -> None:
    assert found(replace(history, executions=history.executions[1:])) == {"unexecuted"}


def test_a_done_run_whose_task_raised_is_seen(history: History) -> None:
    first, *rest = history.executions
    planted = replace(history, executions=[replace(first, outcome="ValueError"), *rest])
    assert found(planted) == {"unexecuted"}


def test_an_execution_that_the_ledger_never_granted_is_seen(history: History) -> None:
    ghost = replace(history.executions[0], run=UUID(int=9))
    assert found(replace(history, executions=[*history.executions, ghost])) == {"unledgered"}


def test_an_attempt_that_was_executed_twice_is_doubled(history: History) -> None:
    again = replace(history.executions[0], pid=9, began=13, last_seen=14)
    assert found(replace(history, executions=[*history.executions, again])) == {"doubled"}


def test_a_result_of_another_attempt_is_stolen(history: History) -> None:
    planted = with_second_attempt(history, began=21)
    run, *rest = planted.runs
    assert found(planted) == set()
    assert found(replace(planted, runs=[replace(run, told=f"{run.id}:1"), *rest])) == {"stolen"}


def test_two_attempts_of_a_run_at_once_are_an_overlap(history: History) -> None:
    """And more than the job's limit of one; the ledger's own times show nothing of it."""
    planted = with_second_attempt(history, began=15.5, first_until=15.9)
    assert found(planted) == {"overlap", "limit"}


def test_an_execution_that_goes_on_after_its_end_in_the_ledger_is_seen(history: History) -> None:
    planted = with_second_attempt(history, began=21, first_until=17)
    assert found(planted) == {"outlived"}
    assert found(replace(planted, frozen=True)) == set()


def test_under_sigstop_an_overlap_is_told_and_is_no_violation(history: History) -> None:
    planted = with_second_attempt(history, began=16, first_until=20)
    planted = replace(planted, frozen=True)
    assert found(planted) == set()
    assert len(list(overlaps(planted))) == 1


def test_a_limit_exceeded_by_the_recorded_times_is_seen(history: History) -> None:
    first, *rest = history.attempts
    planted = replace(history, attempts=[replace(first, finished_at=at(41.5)), *rest])
    assert found(planted) == {"limit"}
    assert found(replace(planted, limits={"job": 2})) == set()


def test_a_limit_exceeded_by_the_notes_is_seen(history: History) -> None:
    first, second = history.executions
    both = [first, replace(second, began=11.5, last_seen=11.9)]
    assert found(replace(history, executions=both)) == {"limit"}


SUBMITTED = UUID(int=77)


@pytest.fixture
def office_work(history: History) -> History:
    """The same, and two runs of an office, of which the second waits for the first."""
    one, two = UUID(int=5), UUID(int=6)
    parts = [done_run(one, tick=0, began=1, ended=2), done_run(two, tick=0, began=3, ended=4)]
    runs = [
        replace(
            run, job="hq", epoch=None, tick=None, trigger="manual", slots=("FE of hq",),
            submission=SUBMITTED,
        )
        for part in parts
        for run in part.runs
    ]  # fmt: skip
    return replace(
        history,
        limits={**history.limits, "hq": 2, "FE of hq": 1},
        runs=[*history.runs, *runs],
        attempts=[*history.attempts, *(one for part in parts for one in part.attempts)],
        events=[*history.events, *(one for part in parts for one in part.events)],
        executions=[*history.executions, *(one for part in parts for one in part.executions)],
        waits=[Wait(run=two, awaited=one)],
        promised_work=[Submitted(office="hq", submission=SUBMITTED, runs=2)],
    )


def with_office_run(history: History, place: int, **changes: object) -> History:
    runs = list(history.runs)
    runs[place] = replace(runs[place], **changes)  # type: ignore[arg-type] # of several types
    return replace(history, runs=runs)


def test_nothing_is_found_where_an_office_keeps_its_order(office_work: History) -> None:
    assert check(office_work) == []
    assert most_at_once(office_work) == {"job": 1, "hq": 1, "FE of hq": 1}


def test_a_role_with_more_at_once_than_it_allows_is_seen(office_work: History) -> None:
    *others, last = office_work.attempts
    early = replace(office_work, attempts=[*others, replace(last, started_at=at(1.5))], waits=[])
    assert found(early) == {"limit"}
    assert found(replace(early, limits={**early.limits, "FE of hq": 2})) == set()
    assert found(replace(early, limits={"job": 1, "hq": 1})) == {"limit"}
    assert most_at_once(early)["hq"] == 2


def test_work_that_starts_before_what_it_waits_for_is_out_of_order(office_work: History) -> None:
    *others, last = office_work.attempts
    early = replace(office_work, attempts=[*others, replace(last, started_at=at(1.9))])
    assert "order" in found(early)


def test_work_goes_nowhere_when_what_it_waits_for_is_not_done(office_work: History) -> None:
    events = [
        replace(event, kind="job_failed")
        if event.run == UUID(int=5) and event.kind == "job_completed"
        else event
        for event in office_work.events
    ]
    attempts = [
        replace(attempt, outcome="failed") if attempt.run == UUID(int=5) else attempt
        for attempt in office_work.attempts
    ]
    failed = with_office_run(
        replace(office_work, events=events, attempts=attempts), 2, state="failed", told=None
    )
    assert found(failed) == {"order"}
    fell = replace(
        with_office_run(
            failed, 3, state="cancelled", reason=f"dependency:{UUID(int=5)}", told=None
        ),
        attempts=failed.attempts[:-1],
        executions=failed.executions[:-1],
        events=[*failed.events[:-2], Event(run=UUID(int=6), attempt=0, kind="job_cancelled")],
    )
    assert found(fell) == set()
    assert found(
        replace(fell, attempts=failed.attempts, events=[*fell.events[:-1], *failed.events[-2:]])
    ) >= {"order"}


def test_work_that_fell_for_nothing_is_seen(office_work: History) -> None:
    for_nothing = replace(
        with_office_run(
            office_work, 3, state="cancelled", reason=f"dependency:{UUID(int=5)}", told=None
        ),
        attempts=office_work.attempts[:-1],
        executions=office_work.executions[:-1],
        events=[*office_work.events[:-2], Event(run=UUID(int=6), attempt=0, kind="job_cancelled")],
    )
    assert found(for_nothing) == {"order"}


def test_promised_work_of_which_a_run_is_gone_is_lost(office_work: History) -> None:
    (promise,) = office_work.promised_work
    assert found(replace(office_work, promised_work=[replace(promise, runs=3)])) == {"lost"}
    assert found(replace(office_work, built_work=[replace(promise, runs=3)])) == {"lost"}


def test_what_started_before_its_submission_was_whole_is_seen(office_work: History) -> None:
    unbuilt = replace(office_work, runs=office_work.runs[:-1], waits=[], promised_work=[])
    assert found(unbuilt) == {"order"}


def test_an_attempt_may_start_at_the_instant_at_which_another_ended(history: History) -> None:
    first, *rest = history.attempts
    planted = replace(history, attempts=[replace(first, finished_at=at(41)), *rest])
    assert found(planted) == set()


def test_slots_that_were_seen_to_be_too_many_are_told(history: History) -> None:
    excess = Excess(job="job", at=at(11), limit=1, runs=(f"{FIRST} running", f"{SECOND} queued"))
    assert found(replace(history, excesses=[excess])) == {"limit"}


def test_a_run_that_an_operator_was_promised_is_not_lost_unnoticed(history: History) -> None:
    promise = Promise(job="job", key="other", run=UUID(int=9))
    assert found(replace(history, promises=[promise])) == {"lost"}


def test_a_key_that_gave_two_runs_is_doubled(history: History) -> None:
    twice = [*history.promises, Promise(job="job", key="key", run=SECOND)]
    assert found(replace(history, promises=twice)) == {"doubled"}


def test_what_a_crash_hid_from_the_ledger_is_told_and_is_no_violation(history: History) -> None:
    """The work was done, the worker died before it could say so, and it was done again."""
    planted = with_second_attempt(history, began=21)
    returned = [replace(execution, outcome="returned") for execution in planted.executions]
    planted = replace(planted, executions=returned)
    assert found(planted) == set()
    (story,) = different_stories(planted)
    assert f"run {FIRST} attempt 1" in story
    assert story.endswith("the ledger says lost")


def test_notes_become_executions(history: History) -> None:
    del history
    fence = f"{FIRST}:1"
    lines = [
        note("start", fence, pid=7, monotonic=1),
        note("start", fence, pid=8, monotonic=2),
        note("alive", fence, pid=7, monotonic=3),
        note("end", fence, pid=8, monotonic=4, outcome="returned"),
    ]
    killed, returned = read_notes(lines)
    assert (killed.began, killed.last_seen, killed.outcome) == (1, 3, "")
    assert (returned.began, returned.last_seen, returned.outcome) == (2, 4, "returned")
    assert {killed.run, returned.run} == {FIRST}


def test_an_execution_without_a_fence_is_of_no_run() -> None:
    (execution,) = read_notes([note("start", None, pid=7, monotonic=1)])
    assert execution.run == UUID(int=0)


def note(event: str, fence: str | None, *, pid: int, monotonic: float, outcome: str = "") -> str:
    values = {"event": event, "fence": fence, "pid": pid, "outcome": outcome}
    return json.dumps({**values, "monotonic": monotonic, "wall": 0})


def test_recovery_is_the_time_until_the_next_run_ends() -> None:
    kills = [Kill(kind="beat", name="beat-1", at=10), Kill(kind="beat", name="beat-2", at=14)]
    assert recovery_times(kills, [9, 12, 15, 16]) == {"beat": [2, 1]}


def test_the_report_counts_and_shows_the_evidence(history: History) -> None:
    one, other = history.runs
    planted = replace(
        history,
        skips=[replace(history.skips[0], until=at(20), count=1)],
        runs=[one, replace(other, trigger="manual")],
    )
    text = report(
        Findings(
            history=planted,
            kills=[Kill(kind="beat", name="beat-1", at=at(41).timestamp())],
            actions=Counter({"pause": 3}),
            refused=0,
            looks=5,
            violations=check(planted),
        )
    )
    lines = [line.split() for line in text.splitlines()]
    assert ["ticks", "planned", "4"] in lines
    assert ["missing", "1"] in lines
    assert ["triggered", "by", "an", "operator", "1"] in lines
    assert ["doubled", "0"] in lines
    assert ["skipped:", "overlap", "1"] in lines
    assert ["beat", "1", "1.00", "s", "1.00", "s"] in lines
    assert "missing: job: tick 2026-01-01T00:00:30+00:00 of epoch 1" in text
