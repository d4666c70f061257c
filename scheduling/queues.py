"""Whose a queue is: a scope's own queues begin with its name, and workers say who serves them."""

FENCED = "ops_fenced"  # in what workers of ours tell of each queue that they serve


def is_own_queue(queue: str, scope: str) -> bool:
    """Whether only workers of this scope, which all have the fence, may serve the queue."""
    return queue.startswith(f"{scope}.")
