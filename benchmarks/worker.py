"""The command line of a worker of two processes, the same for every contestant."""


def worker(app: str, *options: str) -> list[str]:
    """Return `celery -A APP worker --concurrency 2`, for `Rig.start`."""
    return ["celery", "-A", app, "worker", "--concurrency", "2", *options]
