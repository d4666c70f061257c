"""Sends Celery's task events, which Flower shows, a few times a second instead of one by one.

Each is a round trip to the broker that the event loop waits for: at a thousand runs a second they
would cost more than the runs.
"""

from typing import Any

FLUSH_EVERY_SECONDS = 0.25
MOST_IN_A_MESSAGE = 500


def send_in_groups(consumer: Any) -> None:
    """Have the dispatcher of this consumer's life flush by the clock, if it sends at all."""
    dispatcher = consumer.event_dispatcher
    if dispatcher is None or not dispatcher.enabled or consumer.hub is None:
        return
    dispatcher.buffer_limit = MOST_IN_A_MESSAGE
    waiting = False

    def flush() -> None:
        nonlocal waiting
        waiting = False
        consumer._flush_events()  # noqa: SLF001 what the dispatcher would have called at once

    def flush_soon() -> None:
        nonlocal waiting
        if not waiting:
            waiting = True
            consumer.timer.call_after(FLUSH_EVERY_SECONDS, flush)

    dispatcher.on_send_buffered = flush_soon
