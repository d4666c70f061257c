"""Clears what a dead worker of this host left: its pool's process groups, and the rows it held.

A process that a task has started outlives a SIGKILL of its worker. A new worker ends it before it
takes work, because that work may be the same run (DESIGN rule 7).
"""

import logging
import signal
from datetime import datetime

from scheduling.models import WorkerProcess
from scheduling.worker import processes

logger = logging.getLogger(__name__)


def end_leftovers(*, now: datetime) -> None:
    """End what is left of this host's dead workers, and declare those lost who said no goodbye."""
    rows = WorkerProcess.objects.filter(host=processes.this_host()).exclude(processes=[])
    for row in rows:
        itself, *children = (tuple(known) for known in row.processes)
        if processes.identity(itself[0]) == itself:
            continue
        for child in children:
            _end_group(child)
        # Sooner than any observer could: its process is not there.
        lost_at = now if row.stopped_at is None and row.lost_at is None else row.lost_at
        WorkerProcess.objects.filter(pk=row.pk).update(processes=[], lost_at=lost_at)


def _end_group(leader: processes.Identity) -> None:
    """Kill a group, unless its number has since been given to somebody else's."""
    pid = leader[0]
    present = processes.identity(pid)
    if present is not None and present != leader:
        return
    if left := processes.members(pid):
        logger.warning("leftover_processes_ended", extra={"group": pid, "processes": len(left)})
        processes.signal_group(pid, signal.SIGKILL)
