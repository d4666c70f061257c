"""Rings are found and named; what can run side by side is one group."""

from graphlib import CycleError
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduling.dependencies import Waits, execution_order, find_cycle


@st.composite
def acyclic(draw: st.DrawFn) -> dict[str, list[str]]:
    """Keys in any order, each waiting for some of those that a hidden order puts before it."""
    hidden = draw(st.permutations([str(n) for n in range(draw(st.integers(1, 12)))]))
    waits = {
        key: draw(st.lists(st.sampled_from([*hidden[:place], "elsewhere"]), unique=True))
        for place, key in enumerate(hidden)
    }
    return {key: waits[key] for key in draw(st.permutations(hidden))}


def test_a_ring_is_named_in_the_order_of_waiting() -> None:
    ring = find_cycle({"a": ["b"], "b": ["c"], "c": ["a"], "d": ["a"], "e": []})
    assert ring[0] == ring[-1]
    assert set(ring) == {"a", "b", "c"}
    waits = {"a": "b", "b": "c", "c": "a"}
    assert all(waits[one] == other for one, other in pairwise(ring))


def test_what_waits_for_itself_is_a_ring() -> None:
    assert find_cycle({"a": ["a"]}) == ["a", "a"]


def test_groups_are_those_that_can_run_side_by_side() -> None:
    waits: Waits = {"ship": ["test", "review"], "test": ["build"], "review": ["build"], "build": []}
    assert execution_order(waits) == [["build"], ["test", "review"], ["ship"]]


def test_of_a_ring_there_is_no_order() -> None:
    with pytest.raises(CycleError):
        execution_order({"a": ["b"], "b": ["a"]})


@given(acyclic())
def test_nobody_comes_before_or_beside_what_he_waits_for(waits: dict[str, list[str]]) -> None:
    groups = execution_order(waits)
    assert not find_cycle(waits)
    place = {key: number for number, group in enumerate(groups) for key in group}
    assert sorted(place) == sorted(waits)
    for key, others in waits.items():
        inside = [place[other] for other in others if other in waits]
        assert place[key] == max(inside, default=-1) + 1
