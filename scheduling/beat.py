"""The scheduler for `celery beat`: a loop around the engine; any number may run at once."""

import logging
from typing import Any

from celery import Celery
from celery.beat import Scheduler
from django.db import DatabaseError

from scheduling.actions.sync_targets import sync_targets
from scheduling.conf import conf
from scheduling.engine.events.webhook_sender import WebhookSender
from scheduling.engine.tick import Engine
from scheduling.engine.worker_watch import WorkerWatch
from scheduling.errors import SchedulingError
from scheduling.whole_turns import WholeTurns

logger = logging.getLogger(__name__)

SHORT_WAITS = {"socket_timeout": 2, "socket_connect_timeout": 2}


class LedgerScheduler(Scheduler):
    """Use as `CELERY_BEAT_SCHEDULER` or `celery beat -S scheduling.beat:LedgerScheduler`.

    Keeps no state of its own between ticks that must survive: schedules, due times and what has
    been planned live in the database. The schedule file of stock beat is not used.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._targets_known = False
        self._turns: WholeTurns | None = None
        self._aside = (WorkerWatch(conf.SCHEDULER_SCOPE), WebhookSender(conf.SCHEDULER_SCOPE))
        super().__init__(*args, **kwargs)
        _keep_waits_short(self.app)
        self.max_interval = conf.SCHEDULER_TICK_SECONDS  # type: ignore[assignment] # may be a float
        self.engine = Engine(
            self.app, scope=conf.SCHEDULER_SCOPE, tick_seconds=conf.SCHEDULER_TICK_SECONDS
        )
        logger.info("scheduler_ready", extra={"scope": conf.SCHEDULER_SCOPE})

    def setup_schedule(self) -> None:
        """Nothing to load: the database is read on every tick."""

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Do what is due and return how many seconds the service may sleep."""
        del args, kwargs
        if self._turns is None:  # only now has Celery set its handlers
            self._turns = WholeTurns()
            self._turns.guard_signals()
            for thread in self._aside:
                thread.start()
        with self._turns.turn():
            if not self._targets_known:
                self._learn_targets()
            return self.engine.turn()

    def _learn_targets(self) -> None:
        """Once per process; a database that is not up yet is asked again at the next tick."""
        try:
            created = sync_targets()
        except (DatabaseError, SchedulingError) as error:
            logger.warning("targets_not_read", extra={"error": str(error)})
            return
        for job in created:
            logger.info("target_job_created", extra={"job_id": job.job_id, "scope": job.scope})
        self._targets_known = True

    def close(self) -> None:
        """End what goes on beside the turns; Celery calls this as the beat ends, maybe twice."""
        for thread in self._aside:
            thread.stop()
        super().close()

    def sync(self) -> None:
        """Nothing to write back."""

    @property
    def info(self) -> str:
        """The line that beat prints at its start."""
        return f"    . ledger -> scope {conf.SCHEDULER_SCOPE}"


def _keep_waits_short(app: Celery) -> None:
    """Let a Redis that does not answer hold up a turn for a moment only; other clients may wait."""
    if app.connection_for_write().transport.driver_type == "redis":
        options = app.conf.broker_transport_options
        app.conf.broker_transport_options = {**options, **SHORT_WAITS}
