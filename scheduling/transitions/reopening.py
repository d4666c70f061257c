"""An operator's retry re-opens a run that ended, with a fresh budget of retries (SPEC A19).

With it come, transitively, those that were cancelled because it was not done (SPEC B2).
"""

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction

from scheduling.bulk import update_rows
from scheduling.models import Run, RunDependency
from scheduling.models.event import EventKind
from scheduling.states import FINAL, RAN, RunState
from scheduling.transitions.noticing import close_notices
from scheduling.transitions.rows import locked, move, tell
from scheduling.transitions.unlocking import DEPENDENCY, root_of

REOPENED_FIELDS = [
    "state", "reason", "retry_count", "lost_count", "not_before", "next_attempt_at", "expires_at",
    "finished_at", "result", "error", "error_code",
]  # fmt: skip


@dataclass(frozen=True)
class Reopened:
    """What an operator's retry opened again: what he named, and what hung on it."""

    runs: list[Run]
    revived: list[Run]


def reopen(run_ids: Collection[UUID], *, now: datetime) -> Reopened:
    """Make runs that ran pending again, those of them that had ended; attempts keep the history.

    One that was cancelled for the end of another comes back with that other only; if it also
    waits for a third that ended otherwise than done, it stays cancelled, for that one.
    """
    while True:
        with suppress(_MoreFell), transaction.atomic():
            return _reopen(run_ids, now)


class _MoreFell(Exception):  # noqa: N818 the name reads at the raise
    """While the locks were waited for an end was passed on: there are more to come back."""


def _reopen(run_ids: Collection[UUID], now: datetime) -> Reopened:
    cancelled = _cancelled_for(run_ids)
    upstream = _awaited_by([*run_ids, *cancelled])
    met = {run.pk: run for run in locked({*run_ids, *cancelled, *upstream}, set(RunState))}
    # Whoever passes the end of one of these on needs its lock, which is ours from here on.
    if not _cancelled_for(run_ids) <= cancelled:
        raise _MoreFell
    asked = [met[pk] for pk in sorted(run_ids) if _may_be_asked_for(met.get(pk))]
    _open_again(asked, now)
    fallen = {pk: met[pk] for pk in sorted(cancelled) if _fell_with(met.get(pk), asked)}
    hindered = _hindered(fallen)
    for pk, root in hindered.items():
        fallen[pk].reason = DEPENDENCY + root
    update_rows([fallen[pk] for pk in hindered], ["reason"])
    revived = [run for pk, run in fallen.items() if pk not in hindered]
    _open_again(revived, now)
    # Who ended meanwhile passes its end on again, to those who came back.
    Run.objects.filter(pk__in=upstream).update(awaited=True)
    return Reopened(asked, revived)


def _may_be_asked_for(run: Run | None) -> bool:
    return run is not None and run.state in RAN and root_of(run) == str(run.pk)


def _fell_with(run: Run | None, roots: Sequence[Run]) -> bool:
    """Whether it still is cancelled for the end of one of the roots."""
    if run is None or run.state != RunState.CANCELLED:
        return False
    return root_of(run) in {str(root.pk) for root in roots}


def _open_again(runs: Sequence[Run], now: datetime) -> None:
    for run in runs:
        move(run, RunState.PENDING)
        run.reason, run.result, run.error, run.error_code = "retry", None, "", ""
        run.retry_count = run.lost_count = 0
        run.not_before = run.next_attempt_at = run.expires_at = run.finished_at = None
    update_rows(runs, REOPENED_FIELDS)
    tell(list(runs), EventKind.RETRYING, now)
    close_notices(runs, now)


def _cancelled_for(roots: Collection[UUID]) -> set[UUID]:
    """Return who was cancelled for the end of one of the roots, from one to the next."""
    reasons = [f"{DEPENDENCY}{root}" for root in roots]
    found: set[UUID] = set()
    level: Collection[UUID] = roots
    while level:
        waits = RunDependency.objects.filter(
            depends_on__in=level, met_at=None, run__state=RunState.CANCELLED
        )
        theirs = waits.filter(run__reason__in=reasons).values_list("run_id", flat=True)
        level = set(theirs) - found
        found |= level
    return found


def _hindered(runs: Collection[UUID]) -> dict[UUID, str]:
    """Return who of the runs waits for another that will not be done, and for whose end that is."""
    waits = RunDependency.objects.filter(
        run__in=runs, met_at=None, depends_on__state__in=FINAL - {RunState.DONE}
    )
    rows = list(waits.select_related("depends_on").order_by("id"))
    hindered: dict[UUID, str] = {}
    while found := {
        wait.run_id: hindered.get(wait.depends_on_id) or root_of(wait.depends_on)
        for wait in rows
        if wait.run_id not in hindered
        and (wait.depends_on_id not in runs or wait.depends_on_id in hindered)
    }:
        hindered |= found
    return hindered


def _awaited_by(runs: Collection[UUID]) -> list[UUID]:
    waits = RunDependency.objects.filter(run__in=runs, met_at=None)
    return list(waits.values_list("depends_on", flat=True).distinct())
