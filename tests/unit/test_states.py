"""The state machine as it is written down."""

import pytest

from scheduling.errors import IllegalTransition
from scheduling.models import Run
from scheduling.states import FINAL, HOLDING_SLOT, OPEN, RAN, TRANSITIONS, WAITING, RunState
from scheduling.transitions.rows import move


def test_every_state_has_its_transitions() -> None:
    assert set(TRANSITIONS) == set(RunState)


def test_every_state_is_open_or_final() -> None:
    assert set(RunState) == OPEN | FINAL
    assert not OPEN & FINAL
    assert not WAITING & HOLDING_SLOT


def test_a_final_state_is_left_only_by_an_operators_retry() -> None:
    assert {after for state in RAN for after in TRANSITIONS[state]} == {RunState.PENDING}
    assert TRANSITIONS[RunState.SKIPPED] == frozenset()


def test_an_unknown_step_is_refused() -> None:
    run = Run(state=RunState.DONE)
    with pytest.raises(IllegalTransition, match="'done' to 'running'"):
        move(run, RunState.RUNNING)
    assert run.state == RunState.DONE


def test_every_state_can_be_reached() -> None:
    reached = {after for ways in TRANSITIONS.values() for after in ways}
    assert reached == set(RunState)
