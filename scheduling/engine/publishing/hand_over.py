"""Hands runs over to plain Celery workers: published once, with confirmation, and done with that.

What a plain worker makes of a message nobody tells us, so sending twice would be running twice.
The intent is written first; what is found intended and not ended after a crash is not sent again
(DESIGN rule 4).
"""

import logging
from collections.abc import Sequence
from datetime import datetime

from celery import Celery
from kombu.exceptions import OperationalError

from scheduling.engine.publishing.delivery import AT_ONCE, Delivery, deliver
from scheduling.models import Run
from scheduling.transitions import hand_over, mark_sent, unmark_sent

logger = logging.getLogger(__name__)


def hand_over_runs(app: Celery, runs: Sequence[Run], *, now: datetime) -> Delivery:
    """Send the runs' messages without the fence and end the runs; return what became of each.

    Raises OperationalError, with nothing sent or changed, when the broker is not there.
    """
    with app.connection_or_acquire() as connection:
        connection.ensure_connection(**AT_ONCE)
    intended = mark_sent([run.pk for run in runs], now=now)
    delivery = Delivery([run for run in runs if run.pk in intended], fenced=False)
    try:
        deliver(app, delivery)
    except OperationalError as error:
        logger.warning(
            "hand_over_unconfirmed", extra={"runs": len(delivery.waiting), "error": str(error)}
        )
    uncertain = [parcel.id for parcel in delivery.uncertain]
    untried = delivery.waiting.keys() - set(uncertain)
    unmark_sent([*untried, *(parcel.id for parcel, _ in delivery.refused)])
    hand_over([parcel.id for parcel in delivery.sent], now=now)
    hand_over(uncertain, now=now, error="the broker did not confirm its message")
    return delivery
