"""What the status page shows: jobs as they stand, runs as they happen, the newest snapshot."""

import hashlib
from dataclasses import dataclass
from datetime import datetime

from django.core.paginator import Page, Paginator
from django.db.models import Count, Max, Min, QuerySet
from django.utils import timezone

from monitoring.dashboard import JobFigures
from monitoring.history import Tone, Verdict, newest_verdicts
from monitoring.models import DashboardSnapshot
from scheduling.models import Job, Pause, Run, ScheduleEpoch
from scheduling.recurrence import RecurrenceError
from scheduling.states import SkipReason

JOBS_PER_PAGE = 50
RUNS_SHOWN = 20
BAR = 30
FEW = 3


@dataclass(frozen=True, kw_only=True)
class Chip:
    """A state in a word or two, and why in a sentence."""

    label: str
    tone: Tone
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class JobRow:
    """One job of the table."""

    job: Job
    schedule: str
    chip: Chip
    pause: Pause | None
    verdicts: list[Verdict]
    figures: JobFigures | None

    @property
    def empty_cells(self) -> range:
        """Give one item per cell of the bar that has no verdict yet."""
        return range(BAR - len(self.verdicts))

    @property
    def last(self) -> Verdict | None:
        """Give the newest verdict of a run."""
        return next((each for each in reversed(self.verdicts) if each.run_id), None)


@dataclass(frozen=True, kw_only=True)
class Board:
    """Everything the page shows, and the version it was read at."""

    scope: str
    version: str
    now: datetime
    page: Page[Job]
    rows: list[JobRow]
    runs: list[Run]
    snapshot: DashboardSnapshot | None


def read_board(scope: str, *, page_number: str = "1") -> Board:
    """Return the board of one scope, in a number of queries that does not grow with its jobs."""
    version = board_version(scope)  # read first: what comes in meanwhile makes the next poll differ
    jobs = Job.objects.filter(scope=scope, deleted_at=None).select_related("status")
    snapshot = DashboardSnapshot.objects.filter(scope=scope).first()
    figures = snapshot.data.get("jobs", {}) if snapshot else {}
    page = Paginator(jobs.order_by("job_id"), JOBS_PER_PAGE).get_page(page_number)
    return Board(
        scope=scope,
        version=version,
        now=timezone.now(),
        page=page,
        rows=_rows(list(page.object_list), figures),
        runs=_recent_runs(scope),
        snapshot=snapshot,
    )


def board_version(scope: str) -> str:
    """Return a token that changes with anything the page shows, from a few indexed look-ups."""
    jobs = Job.objects.filter(scope=scope, deleted_at=None)
    runs = Run.objects.filter(scope=scope)
    seen = (
        runs.aggregate(Max("finished_at")),
        list(_open(runs).values_list("id", "state", "attempt")),
        jobs.aggregate(
            Count("id"), Min("next_due_at"), Max("next_due_at"), Max("status__tripped_at")
        ),
        jobs.filter(enabled=True).count(),
        Pause.objects.filter(job__scope=scope).aggregate(Max("id"), Max("ended_at")),
        list(DashboardSnapshot.objects.filter(scope=scope).values_list("computed_at")),
    )
    return hashlib.blake2b(repr(seen).encode(), digest_size=8).hexdigest()


def _rows(jobs: list[Job], figures: dict[str, JobFigures]) -> list[JobRow]:
    pks = [job.pk for job in jobs]
    verdicts = newest_verdicts(pks, limit=BAR)
    pauses = {pause.job_id: pause for pause in Pause.objects.filter(job__in=pks, ended_at=None)}
    epochs = {each.job_id: each for each in ScheduleEpoch.objects.filter(job__in=pks, to_at=None)}
    return [
        JobRow(
            job=job,
            schedule=_in_words(epochs.get(job.pk)),
            chip=_chip(job, pauses.get(job.pk), verdicts.get(job.pk, [])),
            pause=pauses.get(job.pk),
            verdicts=verdicts.get(job.pk, []),
            figures=figures.get(job.job_id),
        )
        for job in jobs
    ]


def _in_words(epoch: ScheduleEpoch | None) -> str:
    if epoch is None:
        return "no schedule in force"
    try:
        return epoch.recurrence().in_words()
    except RecurrenceError as error:
        return f"cannot be read: {error}"


def _chip(job: Job, pause: Pause | None, verdicts: list[Verdict]) -> Chip:
    """Say the first thing that keeps the job from running, or that nothing does."""
    status = getattr(job, "status", None)
    if job.schedule_error:
        return Chip(label="schedule error", tone=Tone.BAD, why=job.schedule_error)
    if not job.enabled:
        return Chip(label="disabled", tone=Tone.NEUTRAL, why="Switched off: plans nothing.")
    if pause is not None:
        why = f"{pause.reason or 'No reason given'}. {_until(pause)}"
        return Chip(label=f"paused by {pause.paused_by}", tone=Tone.NEUTRAL, why=why)
    if status is not None and status.tripped_at is not None:
        why = f"{status.consecutive_errors} failures in a row: {status.last_error}"
        return Chip(label="breaker open", tone=Tone.BAD, why=why)
    if _starts_nothing(verdicts):
        why = "Its newest runs expired before anybody started them; each says what it waited for."
        return Chip(label="does not start", tone=Tone.BAD, why=why)
    return Chip(label="enabled", tone=Tone.GOOD)


def _starts_nothing(verdicts: list[Verdict]) -> bool:
    """Whether its newest runs, a few of them, all waited in vain for a worker or a slot."""
    newest = [verdict.reason for verdict in verdicts if verdict.run_id][-FEW:]
    return bool(newest) and set(newest) == {SkipReason.EXPIRED}


def _until(pause: Pause) -> str:
    if pause.until_at is None:
        return "Until somebody resumes it."
    return f"Until {timezone.localtime(pause.until_at):%Y-%m-%d %H:%M}."


def _recent_runs(scope: str) -> list[Run]:
    """Return what is open, the newest first, then what ended last."""
    runs = Run.objects.filter(scope=scope).select_related("job", "worker").defer("result", "params")
    is_open = list(_open(runs))
    ended = runs.filter(finished_at__isnull=False).order_by("-finished_at")
    return is_open + list(ended[: RUNS_SHOWN - len(is_open)])


def _open(runs: QuerySet[Run]) -> QuerySet[Run]:
    """Return the newest open runs, as far as they are shown.

    Open is told by `finished_at`, which a constraint ties to the state: SQLite looks that up in an
    index, where a bound list of states makes it read the whole table.
    """
    return runs.filter(finished_at=None).order_by("-id")[:RUNS_SHOWN]
