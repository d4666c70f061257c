"""Which work waits for which: what may not be submitted, and what can run side by side; pure.

Work is named by keys; `Waits` says for each of them which others it waits for. A key that is not
among them is somebody else's, and plays no part in cycles and order.
"""

from collections.abc import Collection, Mapping
from graphlib import CycleError, TopologicalSorter

Waits = Mapping[str, Collection[str]]


def find_cycle(waits: Waits) -> list[str]:
    """Return keys that wait for each other in a ring, the first one again at the end; or none."""
    try:
        _sorter(waits).prepare()
    except CycleError as error:
        ring: list[str] = error.args[1]
        return ring[::-1]  # graphlib names them by who is waited for
    return []


def execution_order(waits: Waits) -> list[list[str]]:
    """Return the groups that can run side by side, one after the other (SPEC B6).

    Within a group the keys keep the order in which they are given. Raises CycleError.
    """
    place = {key: number for number, key in enumerate(waits)}
    sorter = _sorter(waits)
    sorter.prepare()
    groups: list[list[str]] = []
    while sorter.is_active():
        group = sorter.get_ready()
        groups.append(sorted(group, key=place.__getitem__))
        sorter.done(*group)
    return groups


def _sorter(waits: Waits) -> TopologicalSorter[str]:
    return TopologicalSorter(
        {key: [other for other in others if other in waits] for key, others in waits.items()}
    )
