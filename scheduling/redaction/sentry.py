"""What Sentry may be told."""

from collections.abc import Callable
from typing import Any

from scheduling.redaction.redactor import Redactor

# Sentry refuses an event whose own ids are not what it made them.
TYPED = frozenset(
    {"event_id", "trace_id", "span_id", "parent_span_id", "replay_id", "profile_id", "timestamp"}
)


def sentry_filter(redactor: Redactor) -> Callable[[Any, Any], Any]:
    """Return a `before_send` for sentry_sdk: the event redacted, or dropped if that fails."""

    def redact(event: Any, hint: Any) -> Any:
        del hint
        try:
            return redactor.value(event, typed=TYPED)
        except Exception:  # noqa: BLE001 an event that cannot be redacted may not leave
            return None

    return redact
