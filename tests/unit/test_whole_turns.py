"""A beat that is told to stop finishes its turn first."""

import signal
from collections.abc import Iterator

import pytest

from scheduling.whole_turns import WholeTurns

CAUGHT = (signal.SIGTERM, signal.SIGINT)


@pytest.fixture
def handled() -> Iterator[list[int]]:
    """Yield what reached the handlers that were there before; they end the process as Celery's."""
    numbers: list[int] = []

    def end(number: int, _frame: object) -> None:
        numbers.append(number)
        raise SystemExit

    before = {number: signal.signal(number, end) for number in CAUGHT}
    yield numbers
    for number, handler in before.items():
        signal.signal(number, handler)


def turn_with(*numbers: signal.Signals) -> list[str]:
    """Let signals come in the middle of a turn, which ends the process; return what was done."""
    turns, done = WholeTurns(), []

    def turn() -> None:
        with turns.turn():
            for number in numbers:
                signal.raise_signal(number)
            done.append("the rest of the turn")

    turns.guard_signals()
    with pytest.raises(SystemExit):
        turn()
    return done


@pytest.mark.parametrize("number", CAUGHT)
def test_a_turn_is_finished_before_the_process_ends(
    handled: list[int], number: signal.Signals
) -> None:
    done = turn_with(number)
    assert done
    assert handled == []


def test_a_second_signal_does_not_wait(handled: list[int]) -> None:
    done = turn_with(signal.SIGTERM, signal.SIGTERM)
    assert not done
    assert handled == [signal.SIGTERM]


def test_between_turns_a_signal_ends_at_once(handled: list[int]) -> None:
    turns = WholeTurns()
    turns.guard_signals()
    with turns.turn():
        pass
    with pytest.raises(SystemExit):
        signal.raise_signal(signal.SIGINT)
    assert handled == [signal.SIGINT]


def test_a_failing_turn_fails_as_it_is(handled: list[int]) -> None:
    turns = WholeTurns()
    turns.guard_signals()
    with pytest.raises(ValueError, match="as it is"), turns.turn():
        raise ValueError("as it is")
    assert handled == []
