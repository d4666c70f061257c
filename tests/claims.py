"""Claims as a turn of a beat does, without the beat."""

from datetime import datetime

from scheduling.engine.candidates import claimable
from scheduling.engine.claim import claim_page
from scheduling.models import Run


def claim_ready(scope: str, *, now: datetime) -> list[Run]:
    """Claim a page of the ready runs of a scope for which there is a slot, in claim order."""
    return claim_page(claimable(scope, now=now), now=now)


def claim_all(*, now: datetime) -> list[Run]:
    """Claim what is ready, all pages of it."""
    claimed: list[Run] = []
    while page := claim_ready("real", now=now):
        claimed += page
    return claimed
