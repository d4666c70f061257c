"""Hands runs over to plain Celery workers: published once, with confirmation, and done with that.

What a plain worker makes of a message nobody tells us (DESIGN rule 4).
"""

from collections.abc import Sequence
from datetime import datetime

from celery import Celery

from scheduling.engine.publishing.delivery import Delivery
from scheduling.engine.publishing.once import send_once
from scheduling.models import Run
from scheduling.transitions import hand_over


def hand_over_runs(app: Celery, runs: Sequence[Run], *, now: datetime) -> Delivery:
    """Send the runs' messages without the fence and end the runs; return what became of each.

    Raises OperationalError, with nothing sent or changed, when the broker is not there.
    """
    delivery = send_once(app, runs, now=now)
    hand_over([parcel.id for parcel in delivery.sent], now=now)
    uncertain = [parcel.id for parcel in delivery.uncertain]
    hand_over(uncertain, now=now, error="the broker did not confirm its message")
    return delivery
