"""docs/state_machine.md draws the states, the ways between them and the reasons of `states.py`."""

import re

import scheduling.transitions
from opsproject.env import CHECKOUT
from scheduling.states import FINAL, HOLDING_SLOT, TRANSITIONS, RunState, SkipReason

PAGE = (CHECKOUT / "docs/state_machine.md").read_text(encoding="utf-8")
WAYS = {(one.value, other.value) for one, others in TRANSITIONS.items() for other in others}


def rows_below(heading: str) -> list[list[str]]:
    """Return the cells of the first table after a heading, without the backticks."""
    table = re.search(r"\|.*?(?=\n\n|\Z)", PAGE.partition(heading)[2], re.DOTALL)
    assert table
    lines = table[0].strip().splitlines()[2:]
    return [[cell.strip().replace("`", "") for cell in row.split("|")[1:-1]] for row in lines]


def test_the_drawing_shows_every_way_and_no_other() -> None:
    drawn = set(re.findall(r"^ +(\w+) --> (\w+)$", PAGE, re.MULTILINE))
    assert drawn == WAYS


def test_every_way_is_explained_once() -> None:
    explained = [(one, other) for one, other, *_ in rows_below("## When each way is taken")]
    assert sorted(explained) == sorted(WAYS)


def test_who_takes_a_way_is_a_transition() -> None:
    named = {name for *_, names in rows_below("## When each way") for name in names.split(", ")}
    assert named - set(scheduling.transitions.__all__) == set()


def test_every_state_says_whether_it_holds_a_slot_and_has_ended() -> None:
    told = {RunState(name): (slot, ended) for name, _, slot, ended in rows_below("# The states")}
    assert told == {
        state: ("holds" * (state in HOLDING_SLOT), "yes" * (state in FINAL)) for state in RunState
    }


def test_every_reason_to_skip_is_explained() -> None:
    reasons = [reason for reason, _ in rows_below("## Why a tick did not run")]
    assert reasons == [reason.value for reason in SkipReason]
