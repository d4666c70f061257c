"""When a job falls due: pure values that turn a schedule into instants; zones live only here.

`contract.py` says what every kind of schedule can do; `interval.py`, `crontab.py`, `clocked.py` and
`solar.py` are the kinds, and `chain.py` is queue mode, where the end of each run decides. A crontab
is `fields.py` (what was written) → `wall.py` (a calendar without zone, pure arithmetic) →
`local_time.py` (where that calendar's walls lie in UTC, SPEC A5); a solar event is what `sun.py`
asks of ephem. A new kind is a file and a line in `KINDS`.
"""

from typing import Any

from scheduling.recurrence.chain import Chain
from scheduling.recurrence.clocked import Clocked
from scheduling.recurrence.contract import Recurrence, RecurrenceError
from scheduling.recurrence.crontab import Crontab
from scheduling.recurrence.interval import Interval
from scheduling.recurrence.solar import Solar

__all__ = [
    "KINDS",
    "Chain",
    "Clocked",
    "Crontab",
    "Interval",
    "Recurrence",
    "RecurrenceError",
    "Solar",
    "from_spec",
]

KINDS: dict[str, type[Interval | Crontab | Clocked | Solar | Chain]] = {
    kind.kind: kind for kind in (Interval, Crontab, Clocked, Solar, Chain)
}


def from_spec(kind: str, spec: dict[str, Any]) -> Recurrence:
    """Return the recurrence of this `kind` and `spec()`; raise RecurrenceError if it is none."""
    if kind not in KINDS:
        raise RecurrenceError("unknown_kind", f"schedule kind {kind!r}: use one of {sorted(KINDS)}")
    return KINDS[kind].from_spec(spec)
