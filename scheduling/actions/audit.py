"""Writes the audit row of an action, in the action's own transaction."""

from dataclasses import dataclass
from typing import Any

from scheduling.clock import database_now
from scheduling.models import AuditEntry

LONGEST_ACTOR, LONGEST_TARGET = 200, 300


@dataclass(frozen=True, kw_only=True)
class Operator:
    """Who acts, and through which door (admin, page, api, chat, command, settings)."""

    actor: str
    door: str


def record(
    operator: Operator,
    action: str,
    target: object,
    *,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    """Write one line of the trail; the values must be JSON and carry no secret."""
    AuditEntry.objects.create(
        at=database_now(),
        actor=operator.actor[:LONGEST_ACTOR],
        door=operator.door,
        action=action,
        target=str(target)[:LONGEST_TARGET],
        before=before,
        after=after,
    )
