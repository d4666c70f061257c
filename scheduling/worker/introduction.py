"""Lets this worker say that it has the fence when Celery's remote control asks for its queues.

A beat must never take it for a plain worker, whose runs are handed over: also not while it has no
row yet, or was given up for lost a moment ago.
"""

from typing import Any

from celery.worker.control import Panel

from scheduling.queues import FENCED

QUEUES = "active_queues"


def introduce_ourselves() -> None:
    """Add the mark to every later answer; what else it says stays as it is."""
    answer = Panel.data[QUEUES]

    def marked(state: Any, **arguments: Any) -> list[dict[str, Any]]:
        return [{**queue, FENCED: True} for queue in answer(state, **arguments)]

    Panel.data[QUEUES] = marked
