"""A busy schedule: every policy of a job and every way that a task can end, all at once.

Together they keep between three and four slots at work, of the six that three workers have.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from opsproject.chaos.apart import SCOPE
from scheduling.actions.audit import Operator
from scheduling.actions.change_policy import change_policy
from scheduling.actions.create_job import NewJob, create_job
from scheduling.clock import database_now
from scheduling.engine.schedules import Schedule
from scheduling.models import Job
from scheduling.models.job import RescheduleMode
from scheduling.recurrence import Crontab, Interval

BY_CHAOS: Final = Operator(actor="chaos", door="command")
SHARED_QUEUE = f"{SCOPE}.shared"
PATIENT: Final = {"expires_after": timedelta(seconds=30)}  # or a kill lets most of them expire


@dataclass(frozen=True, kw_only=True)
class Specimen:
    """One job. `every` in seconds, or a crontab; neither: it runs when somebody triggers it."""

    job_id: str
    task: str = "chaos.works"
    every: int | None = None
    crontab: Crontab | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    policy: Mapping[str, Any] = field(default_factory=dict)
    own_queue: bool = True
    mode: RescheduleMode = RescheduleMode.SCHEDULER

    def schedule(self) -> Schedule | None:
        """Return its schedule, from now on."""
        if self.every is not None:
            grid = Interval(database_now(), timedelta(seconds=self.every))
            return Schedule(recurrence=grid)
        return Schedule(recurrence=self.crontab) if self.crontab else None


def _lasts(shortest: float, longest: float) -> dict[str, float]:
    return {"shortest": shortest, "longest": longest}


def _retries(times: int) -> dict[str, Any]:
    return {**PATIENT, "max_retries": times, "retry_base": timedelta(seconds=0.5)}


SPECIMENS: Final = (
    Specimen(job_id="instant", every=1, policy=PATIENT, own_queue=False),
    Specimen(
        job_id="instant-skips-misfires",
        every=2,
        policy={"misfire": "skip", "misfire_grace": timedelta(seconds=3)},
    ),
    Specimen(
        job_id="instant-catches-up",
        every=2,
        params=_lasts(0, 0.2),
        policy={"misfire": "all", "misfire_grace": timedelta(seconds=2), **PATIENT},
    ),
    Specimen(
        job_id="instant-coalesces",
        every=1,
        policy={"misfire": "once", "misfire_grace": timedelta(seconds=1)},
        own_queue=False,
    ),
    Specimen(job_id="short-skips-overlap", every=1, params=_lasts(0, 3), policy=PATIENT),
    Specimen(
        job_id="short-queues",
        every=3,
        params=_lasts(0, 3),
        policy={**PATIENT, "overlap": "queue", "max_parallel": 2},
        own_queue=False,
    ),
    Specimen(
        job_id="short-three-at-once",
        every=2,
        params=_lasts(0, 3),
        policy={**PATIENT, "max_parallel": 3},
    ),
    Specimen(
        job_id="catches-up-and-queues",
        every=2,
        params=_lasts(0, 1),
        policy={"misfire": "all", "overlap": "queue", "misfire_grace": timedelta(seconds=2)},
    ),
    # Longer than a lost worker's lease: what outlives its parent would meet its own next attempt.
    Specimen(job_id="long", every=4, params=_lasts(12, 18), policy=_retries(3)),
    Specimen(
        job_id="fails-first",
        task="chaos.fails_first",
        every=3,
        params={"failures": 2},
        policy={**_retries(4), "max_consecutive_errors": 100},
    ),
    Specimen(
        job_id="autoretries",
        task="chaos.autoretries",
        every=3,
        policy={**PATIENT, "max_consecutive_errors": 100},
        own_queue=False,
    ),
    Specimen(
        job_id="asks-for-retry",
        task="chaos.asks_for_retry",
        every=3,
        policy={**PATIENT, "max_consecutive_errors": 100, "max_parallel": 2},
    ),
    Specimen(
        job_id="trips-its-breaker",
        task="chaos.raises",
        every=2,
        policy={**PATIENT, "breaker_cooldown": timedelta(seconds=4)},
    ),
    Specimen(
        job_id="overruns",
        every=5,
        params=_lasts(2, 3),
        policy={
            **PATIENT,
            "timeout": timedelta(seconds=1),
            "max_consecutive_errors": 100,
        },
        own_queue=False,
    ),
    Specimen(
        job_id="dies",
        task="chaos.dies",
        every=4,
        policy={**_retries(5), "max_consecutive_errors": 100},
    ),
    Specimen(
        job_id="every-minute",
        crontab=Crontab("*", "*", "*", "*", "*", "UTC"),
        params=_lasts(0, 1),
    ),
    Specimen(
        job_id="every-minute-in-seoul",
        crontab=Crontab("0-59", "0-23", "*", "*", "*", "Asia/Seoul"),
        params=_lasts(0, 1),
        own_queue=False,
    ),
    Specimen(
        job_id="chain", every=2, params=_lasts(0, 1), policy=PATIENT, mode=RescheduleMode.QUEUE
    ),
    Specimen(
        job_id="chain-of-long-ones",
        every=1,
        params=_lasts(1, 10),
        policy=_retries(2),
        own_queue=False,
        mode=RescheduleMode.QUEUE,
    ),
    Specimen(job_id="at-startup", params=_lasts(0, 1), policy={"run_on_startup": True}),
    Specimen(job_id="triggered-only", params=_lasts(0, 1), policy={"max_parallel": 2}),
    *(
        Specimen(
            job_id=f"crowd-{number}",
            task="chaos.short" if number % 2 else "chaos.works",
            every=1 + number % 3,
            policy=PATIENT,
            own_queue=False,
        )
        for number in range(16)
    ),
)


def make_jobs() -> list[Job]:
    """Create the jobs of the schedule, through the doors that operators use."""
    return [_made(specimen) for specimen in SPECIMENS]


def _made(specimen: Specimen) -> Job:
    new = NewJob(
        scope=SCOPE,
        job_id=specimen.job_id,
        task=specimen.task,
        schedule=specimen.schedule(),
        params=dict(specimen.params),
        queue="" if specimen.own_queue else SHARED_QUEUE,
        reschedule_mode=specimen.mode,
    )
    job = create_job(new, BY_CHAOS)
    return change_policy(job, BY_CHAOS, specimen.policy) if specimen.policy else job
