"""Goes on with chains whose link ended, or came to a worker too early, and sends what is next."""

from collections.abc import Sequence
from datetime import datetime

from celery import Celery

from scheduling.clock import database_now
from scheduling.engine.chains.chain import follow
from scheduling.engine.chains.delay_queue import wait_at_broker
from scheduling.models import Run


def go_on(app: Celery, jobs: Sequence[int]) -> None:
    """Make the next link of each of these chains, and have it wait at the broker."""
    now = database_now()
    new = follow(jobs, now=now)
    early = _too_early(jobs, now, but=new)
    wait_at_broker(app, [*new, *early], now=now)


def _too_early(jobs: Sequence[int], now: datetime, *, but: Sequence[Run]) -> list[Run]:
    """Return links that are not due, though the message of their chain came: it was too early."""
    waiting = Run.objects.waiting_links().filter(job_id__in=jobs, not_before__gt=now)
    return list(waiting.exclude(pk__in=[link.pk for link in but]).select_related("job"))
