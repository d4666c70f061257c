"""One run of the loop: Extract, Transform, Evaluate, Decide, Act."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from django.conf import settings

from opsproject.eteda.act import act
from opsproject.eteda.decide import decide
from opsproject.eteda.evaluate import evaluate
from opsproject.eteda.extract import extract
from opsproject.eteda.files import unique_name
from opsproject.eteda.transform import transform

P = ParamSpec("P")
T = TypeVar("T")


def run_once() -> dict[str, Any]:
    """Return what was decided from the sheet as it is now.

    `{"decision": str, "reasons": [str], "rows": int, "stages": {stage: seconds}}`. Raises
    EtedaError for a sheet that cannot be used; then nothing was decided and nothing acted upon.
    """
    sheet, journal = settings.ETEDA_DIR / "sheet.csv", settings.ETEDA_DIR / "journal.jsonl"
    # The folders carry the words that the retention policy tells categories by (SPEC E6).
    root, name = Path(settings.DATASET_ROOT), unique_name()
    raw, record = root / "raw_snapshot" / name, root / "pattern_record" / name
    snapshot = root / "decision_snapshot" / name

    clock = StageClock()
    readings = clock.time(extract, sheet, snapshot=raw, first_run=not journal.exists())
    loads = clock.time(transform, readings)
    patterns = clock.time(evaluate, loads, record=record)
    decision = clock.time(decide, patterns, snapshot=snapshot)
    clock.time(act, decision, journal=journal, snapshot=snapshot)
    return {
        "decision": decision.course.value,
        "reasons": decision.reasons,
        "rows": len(readings),
        "stages": clock.seconds,
    }


class StageClock:
    """Runs stages and keeps how long each took, in seconds by the stage's name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def time(self, stage: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what the stage returns."""
        began = time.perf_counter()
        result = stage(*args, **kwargs)
        self.seconds[stage.__name__] = round(time.perf_counter() - began, 6)
        return result
