"""Which changes of a run are allowed; each check is a promise, and takes one change."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from django.db.models import Q

from scheduling.engine.recover import SILENCE_MARGIN
from scheduling.fence import Fence
from scheduling.models import Attempt
from scheduling.states import FINAL, TRANSITIONS, RunState
from tests.engine_model.witness import Change


def the_state_machine_knows_the_step(change: Change) -> None:
    """`states.TRANSITIONS` is the whole truth."""
    assert change.before == change.after or change.after in TRANSITIONS[change.before]


def a_final_run_is_left_alone(change: Change, reopened: Collection[UUID]) -> None:
    """Nothing of its row changes, but by an operator's retry."""
    if change.before in FINAL and change.run_id not in reopened:
        raise AssertionError(f"{change.before} was changed to {change.after}")


def attempts_grow_by_one_with_each_claim(change: Change) -> None:
    """And by nothing else."""
    claimed = change.before == RunState.READY and change.after == RunState.QUEUED
    assert change.attempt == change.attempt_before + claimed


def a_claim_keeps_the_limit(change: Change) -> None:
    """The one that holds at that moment."""
    if change.after == RunState.QUEUED and change.before != RunState.QUEUED:
        assert change.held <= change.slots


def a_stop_holds_its_slot_until_it_is_gone(
    change: Change, confirmed: Collection[Fence], now: datetime
) -> None:
    """Its worker told that, or has been silent for its lease and some more."""
    if change.before == RunState.STOPPING != change.after:
        assert change.fence in confirmed or _silent(change.fence, now)


def _silent(fence: Fence, now: datetime) -> bool:
    long_ago = now - SILENCE_MARGIN
    silent = Q(worker__lost_at__lt=long_ago) | Q(worker__stopped_at__lt=long_ago)
    return Attempt.objects.filter(silent, run=fence.run_id, number=fence.attempt).exists()
