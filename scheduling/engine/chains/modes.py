"""Changes by what a job is planned, ticks or a chain, within the transaction of the change.

What was due under the old schedule has been settled by then (`edits.settle`).
"""

from datetime import datetime

from scheduling.engine.chains.chain import plan_links
from scheduling.engine.chains.chain_schedule import present_schedule
from scheduling.engine.epochs import close_epoch, open_epoch, open_epochs, require_a_tick
from scheduling.models import Job


def begin_anew(job: Job, *, at: datetime) -> None:
    """End the open epoch of a locked, saved job and begin one by its present mode and schedule.

    Raises InvalidJob when that schedule cannot be or never fires.
    """
    schedule = present_schedule(job, at=at)
    epoch = open_epochs([job]).get(job.pk)
    if epoch is not None:
        close_epoch(job, epoch, at=at)
    if schedule is not None and job.enabled:
        require_a_tick(job, schedule, at=at)
        open_epoch(job, schedule, at=at)
        if job.is_chained:
            plan_links([job], now=at)
