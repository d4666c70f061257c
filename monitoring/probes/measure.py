"""Run all probes side by side; one that hangs or raises fails alone."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

from health_check.base import HealthCheckResult

from monitoring.probes.base import Probe
from monitoring.probes.broker_heartbeat import BrokerHeartbeat
from monitoring.probes.eteda_loop_latency import EtedaLoopLatency
from monitoring.probes.google_sheets import GoogleSheets
from monitoring.probes.repository_health import RepositoryHealth

PROBES: tuple[type[Probe], ...] = (
    GoogleSheets,
    RepositoryHealth,
    BrokerHeartbeat,
    EtedaLoopLatency,
)


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What one probe said, and how long it took to say it; not `checked`: it had nothing to see."""

    probe: str
    ok: bool
    checked: bool
    words: str
    seconds: float


def measure() -> list[Measurement]:
    """Return one measurement per probe, in their order."""
    return [_measurement(result) for result in all_results()]


def all_results() -> list[HealthCheckResult]:
    """Return one result per probe, in their order; no later than the slowest probe's timeout."""
    return asyncio.run(_all_results())


def words(result: HealthCheckResult) -> str:
    """Return the finding, or the error with its kind."""
    return str(result.error) if result.error else result.check.pretty_status()


async def _all_results() -> list[HealthCheckResult]:
    with _probe_threads() as executor:
        return await asyncio.gather(*(probe().get_result(executor) for probe in PROBES))


@contextmanager
def _probe_threads() -> Iterator[Executor]:
    """Give one thread to each probe, and do not wait for one that hangs."""
    executor = ThreadPoolExecutor(max_workers=len(PROBES), thread_name_prefix="probe")
    try:
        yield executor
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


def _measurement(result: HealthCheckResult) -> Measurement:
    return Measurement(
        probe=repr(result.check),
        ok=result.error is None,
        checked=cast("Probe", result.check).checked,
        words=words(result),
        seconds=round(result.time_taken, 4),
    )
