"""Takes work for an office, all of it or nothing (SPEC B1).

Checked outside of any transaction, written in short ones as a submission that is not built, of
which nothing is started, and switched on by one flip (DESIGN rule 15). What a crash leaves
half written is taken away by a beat.
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from django.db import IntegrityError, transaction
from uuid_utils.compat import uuid7

from scheduling.actions.audit import Operator, record
from scheduling.actions.offices.work import Work, check_works, digest_of
from scheduling.actions.queue_names import queue_in_scope, require_celery_queues
from scheduling.bulk import insert_rows
from scheduling.clock import database_now
from scheduling.engine.unbuilt import take_away
from scheduling.errors import KeyReused, OfficeArchived, SubmissionUnderway, UnknownReference
from scheduling.fence import parse_uuid
from scheduling.models import Office, OfficeTask, RoleLimit, Run, RunDependency, Submission
from scheduling.models.office import OfficeState
from scheduling.states import RunState, Trigger
from scheduling.transitions import await_ends, open_runs

RUNS_AT_ONCE = 500
DEPENDENCIES_AT_ONCE = 2_000
MOST_NAMED = 10  # unknown references in an error

Row = TypeVar("Row")


def submit_work(
    office: Office,
    works: Sequence[Work],
    operator: Operator,
    *,
    idempotency_key: str | None = None,
) -> Submission:
    """Take the works; return their submission, which is whole then.

    The same key with the same works gives back what the first call made. Raises InvalidJob,
    DependencyCycle, UnknownReference, OfficeArchived, KeyReused or SubmissionUnderway, and keeps
    nothing then.
    """
    check_works(works)
    digest = digest_of(works)
    if known := _made_before(office, idempotency_key, digest):
        return known
    if office.state == OfficeState.ARCHIVED:
        raise OfficeArchived(office.office_id)
    runs = _runs_of(office, works, database_now())
    earlier = _earlier_runs(office, works, runs)
    waits = [
        RunDependency(run_id=runs[work.key].pk, depends_on_id=awaited.pk)
        for work in works
        for awaited in _awaited(work, runs, earlier)
    ]
    for work in works:  # one run may be named twice, in two spellings of its id
        runs[work.key].unmet = len(_awaited(work, runs, earlier))
    submission = Submission(
        office=office,
        submitted_by=operator.actor,
        idempotency_key=idempotency_key,
        digest=digest,
        runs_count=len(works),
        created_at=database_now(),
    )
    try:
        submission.save(force_insert=True)
    except IntegrityError:
        if known := _made_before(office, idempotency_key, digest):
            return known
        raise
    try:
        _write(submission, list(runs.values()), waits)
        _switch_on(submission, [run.pk for run in earlier.values()], operator)
    except BaseException:
        take_away(submission)
        raise
    return submission


def _awaited(work: Work, runs: dict[str, Run], earlier: dict[str, Run]) -> Collection[Run]:
    awaited = (runs.get(key) or earlier[key] for key in work.depends_on)
    return {run.pk: run for run in awaited}.values()


def _made_before(office: Office, key: str | None, digest: str) -> Submission | None:
    if key is None:
        return None
    known = Submission.objects.filter(office=office, idempotency_key=key).first()
    if known is not None and known.digest != digest:
        raise KeyReused(key)
    if known is not None and known.built_at is None:
        raise SubmissionUnderway(key)
    return known


def _runs_of(office: Office, works: Sequence[Work], now: datetime) -> dict[str, Run]:
    roles = {limit.role: limit for limit in office.roles.all()}
    awaited = {key for work in works for key in work.depends_on}
    queues = {
        queue: queue_in_scope(queue, office.scope) for queue in {w.queue for w in works} if queue
    }
    queues[""] = office.queue
    require_celery_queues(queues.values())
    runs = {
        work.key: _run(office, work, roles.get(work.role), now, awaited=work.key in awaited)
        for work in works
    }
    for work in works:
        runs[work.key].queue = queues[work.queue]
    return runs


def _run(
    office: Office, work: Work, role: RoleLimit | None, now: datetime, *, awaited: bool
) -> Run:
    """Return an unsaved run: what the work says, else its role, else its office (SPEC A15)."""
    timeout = role.timeout if role and role.timeout else office.default_timeout
    retries = office.max_retries
    if role is not None and role.max_retries is not None:
        retries = role.max_retries
    return Run(
        id=uuid7(),
        scope=office.scope,
        office=None if office.is_default else office,
        name=work.key,
        role=work.role,
        assignee=work.assignee,
        awaited=awaited,
        trigger=Trigger.MANUAL,
        task=work.task,
        params=work.params,
        priority=work.priority,
        timeout=work.timeout or timeout,
        max_retries=retries if work.max_retries is None else work.max_retries,
        retry_base=role.retry_base if role and role.retry_base is not None else office.retry_base,
        retry_backoff=role.retry_backoff if role and role.retry_backoff else office.retry_backoff,
        non_retryable_codes=office.non_retryable_codes,
        state=RunState.PENDING,
        created_at=now,
    )


def _earlier_runs(office: Office, works: Sequence[Work], runs: dict[str, Run]) -> dict[str, Run]:
    """Return the runs of the office that the works wait for, by how they name them."""
    named = {key for work in works for key in work.depends_on if key not in runs}
    ids = {key: run_id for key in named if (run_id := parse_uuid(key)) is not None}
    found = Run.objects.of_office(office).only("id").in_bulk(list(ids.values()))
    known = {key: found[run_id] for key, run_id in ids.items() if run_id in found}
    if unknown := sorted(named - known.keys()):
        raise UnknownReference(unknown[:MOST_NAMED])
    return known


def _write(submission: Submission, runs: Sequence[Run], waits: Sequence[RunDependency]) -> None:
    for some_runs in _in_chunks(runs, RUNS_AT_ONCE):
        for run in some_runs:
            run.submission = submission
        with transaction.atomic():
            open_runs(some_runs)
    for some_waits in _in_chunks(waits, DEPENDENCIES_AT_ONCE):
        with transaction.atomic():
            insert_rows(some_waits)
    OfficeTask.objects.bulk_create(
        [
            OfficeTask(office=submission.office, task=task, queue=queue)
            for task, queue in sorted({(run.task, run.queue) for run in runs})
        ],
        ignore_conflicts=True,
    )


@transaction.atomic
def _switch_on(submission: Submission, earlier: Collection[UUID], operator: Operator) -> None:
    # Behind the dependencies: whoever ended meanwhile passes its end on to them too.
    await_ends(earlier)
    submission.built_at = database_now()
    submission.save(update_fields=["built_at"])
    record(
        operator,
        "submit_work",
        submission.office,
        after={"submission": str(submission.pk), "runs": submission.runs_count},
    )


def _in_chunks(rows: Sequence[Row], size: int) -> Iterator[Sequence[Row]]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
