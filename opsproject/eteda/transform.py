"""Transform: put readings of different units on one scale."""

from dataclasses import dataclass

from opsproject.eteda.sheet import Reading


@dataclass(frozen=True, kw_only=True)
class Load:
    """A reading as a share of the value at which it becomes critical (1.0 = there)."""

    reading: Reading
    share: float


def transform(readings: list[Reading]) -> list[Load]:
    """Return the loads, the heaviest first."""
    loads = [Load(reading=each, share=round(each.value / each.critical_at, 4)) for each in readings]
    return sorted(loads, key=lambda load: load.share, reverse=True)
