"""Averages and percentiles that say None where there is nothing to tell."""

import math
from collections.abc import Sequence


def nearest_rank(values: Sequence[float], share: float) -> float | None:
    """Return the smallest value that at least `share` (0 < share <= 1) of all do not exceed."""
    if not values:
        return None
    return sorted(values)[math.ceil(share * len(values)) - 1]


def average(values: Sequence[float]) -> float | None:
    """Return the arithmetic mean, to the microsecond."""
    return round(math.fsum(values) / len(values), 6) if values else None
