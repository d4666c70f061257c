"""Puts the ledger, the tasks' notes and what was seen meanwhile together as a history."""

from collections import Counter
from collections.abc import Sequence

from opsproject.chaos.apart import SCOPE
from opsproject.chaos.clients import Clients
from opsproject.chaos.history import (
    Change,
    Epoch,
    Event,
    Execution,
    History,
    LedgerAttempt,
    LedgerRun,
    Paused,
    Skip,
    Submitted,
    Wait,
)
from opsproject.chaos.meddling import Meddler
from opsproject.chaos.notes import notes_file, read_notes
from opsproject.chaos.office_work import slots_of
from opsproject.chaos.watching import Watcher, all_limits
from scheduling.models import (
    Attempt,
    AuditEntry,
    Job,
    Pause,
    Run,
    RunDependency,
    RunEvent,
    ScheduleEpoch,
    SkippedTicks,
    Submission,
)
from scheduling.models.run import BUILT


def read_history(
    *,
    meddler: Meddler,
    clients: Clients,
    watcher: Watcher,
    final_changes: Sequence[Change],
    frozen: bool,
) -> History:
    """Read everything; nothing writes any more."""
    return History(
        limits=all_limits(),
        epochs=_epochs(),
        runs=_runs(),
        attempts=_attempts(),
        skips=_skips(),
        events=_events(),
        executions=_executions(),
        changes=[*meddler.changes, *final_changes],
        pauses=_pauses(),
        at_startup=_jobs_at_startup(),
        promises=meddler.promises,
        cancelled=list(meddler.cancelled),
        excesses=watcher.excesses,
        waits=_waits(),
        promised_work=clients.promised,
        built_work=_built_work(),
        frozen=frozen,
    )


def _epochs() -> list[Epoch]:
    return [
        Epoch(
            id=epoch.pk,
            job=epoch.job.job_id,
            recurrence=epoch.recurrence(),
            from_at=epoch.from_at,
            to_at=epoch.to_at,
            ends_at=epoch.ends_at,
        )
        for epoch in ScheduleEpoch.objects.filter(job__scope=SCOPE).select_related("job")
    ]


def _jobs_at_startup() -> list[str]:
    jobs = Job.objects.filter(scope=SCOPE, run_on_startup=True)
    return list(jobs.values_list("job_id", flat=True))


def _runs() -> list[LedgerRun]:
    reopenings = AuditEntry.objects.filter(action="retry_run").values_list("target", flat=True)
    reopened = Counter(reopenings)
    return [
        LedgerRun(
            id=run.id,
            job=slots[0] if slots else "",
            epoch=run.epoch_id,
            tick=run.scheduled_for,
            state=run.state,
            reason=run.reason,
            trigger=run.trigger,
            attempt=run.attempt,
            told=run.result if isinstance(run.result, str) else None,
            reopened=reopened[f"run {run.id}"],
            finished_at=run.finished_at,
            created_at=run.created_at,
            not_before=run.not_before,
            slots=tuple(slots[1:]),
            submission=run.submission_id,
        )
        for run in Run.objects.filter(BUILT).select_related("job", "office").order_by("id")
        for slots in [_slots_of(run)]
    ]


def _slots_of(run: Run) -> list[str]:
    job = run.job.job_id if run.job else None
    office = run.office.office_id if run.office else None
    return list(slots_of(job, office, run.role))


def _waits() -> list[Wait]:
    """Return who waits for whom, of the submissions that are whole."""
    built = RunDependency.objects.filter(run__submission__built_at__isnull=False)
    return [
        Wait(run=run, awaited=awaited) for run, awaited in built.values_list("run", "depends_on")
    ]


def _built_work() -> list[Submitted]:
    built = Submission.objects.filter(built_at__isnull=False).select_related("office")
    return [
        Submitted(office=one.office.office_id, submission=one.pk, runs=one.runs_count)
        for one in built
    ]


def _attempts() -> list[LedgerAttempt]:
    return [
        LedgerAttempt(
            run=attempt.run_id,
            number=attempt.number,
            started_at=attempt.started_at,
            finished_at=attempt.finished_at,
            outcome=attempt.outcome,
        )
        for attempt in Attempt.objects.order_by("started_at")
    ]


def _skips() -> list[Skip]:
    return [
        Skip(
            id=ticks.pk,
            epoch=ticks.epoch_id,
            reason=ticks.reason,
            after=ticks.after,
            until=ticks.until,
            count=ticks.count,
        )
        for ticks in SkippedTicks.objects.order_by("id")
    ]


def _events() -> list[Event]:
    return [
        Event(run=event.run_id, attempt=event.attempt, kind=event.kind)
        for event in RunEvent.objects.order_by("id")
    ]


def _pauses() -> list[Paused]:
    return [
        Paused(job=pause.job.job_id, since=pause.from_at, until=pause.ended_at)
        for pause in Pause.objects.filter(job__scope=SCOPE).select_related("job")
    ]


def _executions() -> list[Execution]:
    try:
        with notes_file().open(encoding="utf-8") as lines:
            return read_notes(lines)
    except FileNotFoundError:  # no task was ever executed
        return []
