"""Waits for runs to end, and reads from the ledger how long that took."""

import time
from typing import Any

from django.db.models import Max, Min

from scheduling.models import Attempt, Run
from scheduling.states import RunState

LOOK_EVERY_SECONDS = 0.5


def run(seconds: float) -> dict[str, Any]:
    """Wait until no run is open; return how many are done, in how many attempts, and how long.

    `seconds` is from the first start to the last end, `last_at` that end, since 1970.
    """
    deadline = time.monotonic() + seconds
    while Run.objects.open().exists() and time.monotonic() < deadline:
        time.sleep(LOOK_EVERY_SECONDS)
    span = Attempt.objects.aggregate(first=Min("started_at"), last=Max("finished_at"))
    return {
        "done": Run.objects.filter(state=RunState.DONE).count(),
        "attempts": Attempt.objects.count(),
        "seconds": (span["last"] - span["first"]).total_seconds(),
        "last_at": span["last"].timestamp(),
    }
