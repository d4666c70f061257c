"""Times a beat's turns while nothing is due, until it has seen all there is to see."""

import time

from benchmarks.apps.ours import app
from scheduling.engine.tick import Engine

OFTEN = 0.05  # seconds of sleep, so that each turn does all that one a second does
LONGEST_SETTLING_SECONDS = 600


def run(turns: int) -> list[float]:
    """Return the milliseconds of each turn."""
    engine = Engine(app, scope="real", tick_seconds=OFTEN)
    _settle(engine)
    milliseconds = []
    for _ in range(turns):
        time.sleep(OFTEN)
        began = time.perf_counter()
        engine.turn()
        milliseconds.append((time.perf_counter() - began) * 1000)
    return milliseconds


def _settle(engine: Engine) -> None:
    deadline = time.monotonic() + LONGEST_SETTLING_SECONDS
    engine.turn()
    while engine.adoption.behind and time.monotonic() < deadline:
        engine.turn()
