"""Says on runs whose message lies in a queue of ours that no worker serves why they do not start.

A worker that was started without `-Q` serves every queue of jobs whose task it knows. If one is
there and leaves a queue alone, no worker knows the task: the run fails after a grace (`recover`).
"""

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from scheduling.ending import UNKNOWN_TASK
from scheduling.engine.publishing.serving import Serving
from scheduling.models import Run, WorkerProcess
from scheduling.states import RunState
from scheduling.transitions import NOT_SERVED, note_unstarted

SETTLED = timedelta(seconds=10)  # a worker has looked for queues several times by then
MOST_RUNS = 500
TEXTS = {
    UNKNOWN_TASK: "no worker knows the task {task!r}: is its package missing or misspelt?",
    NOT_SERVED: "no worker serves the queue {queue!r}: start one",
}


def note_unserved(scope: str, queues: Collection[str], serving: Serving, *, now: datetime) -> None:
    """Look at queues of the scope in which messages have been waiting for a while."""
    lonely = set(queues) - serving.foreign(queues) - serving.untracked(queues)
    if lonely:
        lonely -= serving.served_by_ours()
    if not lonely:
        return
    code = UNKNOWN_TASK if _somebody_looks_for_queues(scope, now) else NOT_SERVED
    waiting = (
        Run.objects.open(RunState.QUEUED)
        .filter(scope=scope, queue__in=lonely, published_at__isnull=False, reporting="")
        .exclude(error_code__in={UNKNOWN_TASK, code})
        .order_by("id")
    )
    by_text: defaultdict[str, list[UUID]] = defaultdict(list)
    for run_id, queue, task in waiting.values_list("id", "queue", "task")[:MOST_RUNS]:
        by_text[TEXTS[code].format(queue=queue, task=task)].append(run_id)
    for text, run_ids in by_text.items():
        note_unstarted(run_ids, error=text, error_code=code)


def _somebody_looks_for_queues(scope: str, now: datetime) -> bool:
    live = WorkerProcess.objects.live().filter(scope=scope, follows_queues=True)
    return live.filter(started_at__lt=now - SETTLED).exists()
