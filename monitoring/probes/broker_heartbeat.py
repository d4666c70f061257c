"""Probe `broker_heartbeat`: the broker takes a connection, and its last heartbeat is fresh."""

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from django.conf import settings
from django.utils import timezone

from monitoring.broker import bounded_connection
from monitoring.errors import BrokerError
from monitoring.models import ProbeSample
from monitoring.probes.base import Probe, Unavailable
from monitoring.probes.names import CHECK_BROKER_HEARTBEAT
from monitoring.probes.standing import active_since
from scheduling.targets import TARGET_BROKER_HEARTBEAT

CONNECT_SECONDS = 2


@dataclass(repr=False)
class BrokerHeartbeat(Probe):
    """Connects, then asks how the last round trip went and how old it is."""

    name: ClassVar[str] = CHECK_BROKER_HEARTBEAT
    stale_after: timedelta = timedelta(seconds=90)

    def look(self) -> str:
        """Return the last latency; raise Unavailable for a dead broker or heartbeat."""
        _connect()
        sample = _newest_sample()
        if sample is not None and not sample.ok:
            raise Unavailable("connects, but the last heartbeat failed: see its run")
        self._refuse_stale(sample)
        if sample is None or sample.latency_seconds is None:
            return "connects, no heartbeat yet"
        return f"connects, round trip {sample.latency_seconds * 1000:.1f} ms"

    def _refuse_stale(self, sample: ProbeSample | None) -> None:
        expected_since = active_since(TARGET_BROKER_HEARTBEAT)
        if expected_since is None:
            return
        age = timezone.now() - max(expected_since, sample.at if sample else expected_since)
        if age > self.stale_after:
            raise Unavailable(
                f"connects, but there was no heartbeat for {age.total_seconds():.0f} s: "
                "is a worker running?"
            )


def _connect() -> None:
    try:
        with bounded_connection(CONNECT_SECONDS):
            return
    except BrokerError as error:  # its text names the address
        raise Unavailable(
            "the broker does not answer: check CELERY_BROKER_URL and the server"
        ) from error


def _newest_sample() -> ProbeSample | None:
    return (
        ProbeSample.objects.filter(scope=settings.SCHEDULER_SCOPE, probe=CHECK_BROKER_HEARTBEAT)
        .order_by("-at")
        .first()
    )
