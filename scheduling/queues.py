"""Whose a queue is, and whose the work in it.

A scope's own queues begin with its name, and workers say who serves them.
"""

FOREIGN_TASK = (
    "ops.foreign"  # of jobs whose workers are no Celery workers: JSON messages (SPEC A18)
)
FENCED = "ops_fenced"  # in what workers of ours tell of each queue that they serve


def is_own_queue(queue: str, scope: str) -> bool:
    """Whether only workers of this scope, which all have the fence, may serve the queue."""
    return queue.startswith(f"{scope}.")
