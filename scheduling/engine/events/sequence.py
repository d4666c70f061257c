"""Numbers events after their commit: no reader's cursor passes a row that commits late."""

from django.db import connection, transaction
from django.db.models import Max

from scheduling.bulk import update_rows
from scheduling.models import RunEvent

BATCH = 1_000
MOST_BATCHES = 10
LOCK_KEY = 0x0B5E0001  # any constant: one sequencer at a time


def number_events() -> int:
    """Give the next numbers to committed events in the order of their ids; return how many.

    As many as there are, but for a flood of them: the rest is left for the next time.
    """
    total = 0
    for _ in range(MOST_BATCHES):
        numbered = _number_batch() if RunEvent.objects.filter(seq=None).exists() else 0
        total += numbered
        if numbered < BATCH:
            break
    return total


def _number_batch() -> int:
    with transaction.atomic():
        if not _sole_sequencer():
            return 0
        fresh = list(RunEvent.objects.filter(seq=None).order_by("id").only("id", "seq")[:BATCH])
        last = RunEvent.objects.aggregate(last=Max("seq"))["last"] or 0
        for number, event in enumerate(fresh, start=last + 1):
            event.seq = number
        update_rows(fresh, ["seq"])
    return len(fresh)


def _sole_sequencer() -> bool:
    """Take the lock for this transaction; SQLite's write lock is one already."""
    if connection.vendor != "postgresql":
        return True
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [LOCK_KEY])
        (taken,) = cursor.fetchone()
    return bool(taken)
