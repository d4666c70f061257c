"""Says on runs whose message lies in a queue of ours that no worker serves why they do not start.

A worker that was started without `-Q` serves every queue of jobs whose task it knows. If one is
there and leaves a queue alone, no worker knows the task: the run fails after a grace (`recover`).
"""

from collections.abc import Collection
from datetime import datetime, timedelta

from scheduling.engine.publishing.serving import Serving
from scheduling.models import Run, WorkerProcess
from scheduling.states import RunState
from scheduling.transitions import NOT_SERVED, UNKNOWN_TASK, note_unstarted

SETTLED = timedelta(seconds=10)  # a worker has looked for queues several times by then
MOST_RUNS = 500


def note_unserved(scope: str, queues: Collection[str], serving: Serving, *, now: datetime) -> None:
    """Look at queues of the scope in which messages have been waiting for a while."""
    lonely = set(queues) - serving.foreign(queues) - serving.untracked(queues)
    if lonely:
        lonely -= serving.served_by_ours()
    if not lonely:
        return
    waiting = (
        Run.objects.open(RunState.QUEUED)
        .filter(scope=scope, queue__in=lonely, published_at__isnull=False)
        .exclude(error_code=UNKNOWN_TASK)
        .order_by("id")
        .values_list("id", "queue", "task")
    )
    if _somebody_looks_for_queues(scope, now):
        for run_id, _, task in waiting[:MOST_RUNS]:
            text = f"no worker knows the task {task!r}: is its package missing or misspelt?"
            note_unstarted([run_id], error=text, error_code=UNKNOWN_TASK)
        return
    for run_id, queue, _ in waiting[:MOST_RUNS]:
        text = f"no worker serves the queue {queue!r}: start one"
        note_unstarted([run_id], error=text, error_code=NOT_SERVED)


def _somebody_looks_for_queues(scope: str, now: datetime) -> bool:
    live = WorkerProcess.objects.live().filter(scope=scope, follows_queues=True)
    return live.filter(started_at__lt=now - SETTLED).exists()
