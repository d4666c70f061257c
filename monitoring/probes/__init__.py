"""Health probes: each says in words what it found, or raises what is wrong.

`names` holds their names; `base` what they share; then one file per probe; `measure` runs them all,
`recent` keeps what they said for a moment.
"""

from monitoring.probes.names import (
    CHECK_BROKER_HEARTBEAT,
    CHECK_ETEDA_LOOP_LATENCY,
    CHECK_GOOGLE_SHEETS,
    CHECK_REPOSITORY_HEALTH,
)

__all__ = [
    "CHECK_BROKER_HEARTBEAT",
    "CHECK_ETEDA_LOOP_LATENCY",
    "CHECK_GOOGLE_SHEETS",
    "CHECK_REPOSITORY_HEALTH",
]
