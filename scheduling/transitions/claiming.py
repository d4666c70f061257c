"""Ready runs take a slot, with their next attempt."""

from collections.abc import Sequence
from datetime import datetime

from uuid_utils.compat import uuid7

from scheduling.bulk import update_rows
from scheduling.models import Run
from scheduling.states import RunState
from scheduling.transitions.rows import move


def claim(runs: Sequence[Run], *, now: datetime) -> None:
    """Give each run its next attempt and a slot. The caller holds the locks of job and runs."""
    for run in runs:
        move(run, RunState.QUEUED)
        if run.attempt or run.attempt_id is None:  # a link's first attempt has its id already
            run.attempt_id = uuid7()
        run.attempt += 1
        run.queued_at = now
        run.published_at = None
        run.publish_count = 0
    update_rows(
        runs, ["state", "attempt", "attempt_id", "queued_at", "published_at", "publish_count"]
    )
