"""Durations and states in the words that the pages use."""

from datetime import datetime

from django import template
from django.utils.timezone import localtime

from monitoring.history import TONES, Tone
from scheduling.states import HOLDING_SLOT, RunState

register = template.Library()

NOTHING = "–"
MILLISECOND, MINUTE, HOUR, DAY = 0.001, 60, 3_600, 86_400


@register.filter
def duration(seconds: float | None) -> str:
    """Return a duration with two units at most: `42 ms`, `3 min 5 s`, `2 d 4 h`."""
    if seconds is None:
        return NOTHING
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms" if seconds >= MILLISECOND else "< 1 ms"
    if seconds < MINUTE:
        return f"{seconds:.1f} s"
    return _two_units(round(seconds))


def _two_units(seconds: int) -> str:
    if seconds < HOUR:
        return f"{seconds // MINUTE} min {seconds % MINUTE} s"
    if seconds < DAY:
        return f"{seconds // HOUR} h {seconds % HOUR // MINUTE} min"
    return f"{seconds // DAY} d {seconds % DAY // HOUR} h"


@register.simple_tag
def between(begin: datetime | None, end: datetime | None) -> str:
    """Return how long it took from one moment to the other."""
    if begin is None or end is None:
        return NOTHING
    return duration(max(0.0, (end - begin).total_seconds()))


@register.filter
def moment(at: datetime | None) -> str:
    """Return an instant in the page's zone, to the millisecond."""
    return localtime(at).isoformat(" ", "milliseconds")[:23] if at else NOTHING


@register.filter
def tone(state: str) -> str:
    """Return how a run's state is painted."""
    if state in HOLDING_SLOT:
        return "busy"
    return TONES.get(RunState(state), Tone.NEUTRAL)


@register.filter
def percent(share: float | None) -> str:
    """Return a share as per cent; where there is none, say so."""
    if share is None:
        return "no data"
    # 99.97 % must not be rounded up to a perfect record.
    return f"{int(share * 1000) / 10:g} %"


@register.filter
def total(counts: dict[str, int]) -> int:
    """Return the sum of the counts."""
    return sum(counts.values())
