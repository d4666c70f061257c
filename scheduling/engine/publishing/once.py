"""Sends messages once: where nobody checks a fence, sending twice would be running twice.

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
from scheduling.transitions import mark_sent, unmark_sent

logger = logging.getLogger(__name__)


def send_once(app: Celery, runs: Sequence[Run], *, now: datetime) -> Delivery:
    """Send the runs' messages, each at most once; return what became of each.

    What is known not to have gone loses its mark, and may be tried again. Raises OperationalError,
    with nothing sent or changed, when the broker is not there.
    """
    with app.connection_or_acquire() as connection:
        connection.ensure_connection(**AT_ONCE)
    intended = mark_sent([run.pk for run in runs], now=now)
    delivery = Delivery([run for run in runs if run.pk in intended], now=now, fenced=False)
    try:
        deliver(app, delivery)
    except OperationalError as error:
        logger.warning(
            "message_unconfirmed", extra={"runs": len(delivery.waiting), "error": str(error)}
        )
    untried = delivery.waiting.keys() - {parcel.id for parcel in delivery.uncertain}
    unmark_sent([*untried, *(parcel.id for parcel, _ in delivery.refused)])
    return delivery
