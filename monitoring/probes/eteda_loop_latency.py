"""Probe `eteda_loop_latency`: the pipeline ran lately, and fast enough."""

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from django.conf import settings
from django.utils import timezone

from monitoring.probes.base import Degraded, Probe, Unavailable
from monitoring.probes.names import CHECK_ETEDA_LOOP_LATENCY
from monitoring.probes.standing import active_since
from scheduling.models import Run
from scheduling.states import RunState
from scheduling.targets import TARGET_PIPELINE


@dataclass(repr=False)
class EtedaLoopLatency(Probe):
    """Reads the last finished loop from the ledger."""

    name: ClassVar[str] = CHECK_ETEDA_LOOP_LATENCY
    slow_after: timedelta = timedelta(seconds=10)
    stale_after: timedelta = timedelta(seconds=120)

    def look(self) -> str:
        """Return how long the last loop took; raise when it is too old or took too long."""
        run = _last_done()
        self._refuse_stale(run)
        if run is None or run.started_at is None or run.finished_at is None:
            return "no finished loop yet"
        took = run.finished_at - run.started_at
        if took > self.slow_after:
            raise Degraded(
                f"the last loop took {took.total_seconds():.1f} s, "
                f"more than {self.slow_after.total_seconds():.0f} s: see its run for the stages"
            )
        return f"last loop took {took.total_seconds():.2f} s"

    def _refuse_stale(self, run: Run | None) -> None:
        expected_since = active_since(TARGET_PIPELINE)
        if expected_since is None:
            return
        finished_at = run.finished_at if run and run.finished_at else expected_since
        age = timezone.now() - max(expected_since, finished_at)
        if age > self.stale_after:
            raise Unavailable(
                f"no loop finished for {age.total_seconds():.0f} s: see the pipeline's last runs"
            )


def _last_done() -> Run | None:
    return (
        Run.objects.filter(
            job__scope=settings.SCHEDULER_SCOPE,
            job__job_id=TARGET_PIPELINE,
            state=RunState.DONE,
        )
        .order_by("-finished_at")
        .first()
    )
