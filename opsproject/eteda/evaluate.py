"""Evaluate: judge each load against its thresholds and keep the judgement as a pattern record."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from opsproject.eteda.files import write_record
from opsproject.eteda.sheet import Reading
from opsproject.eteda.transform import Load


class Level(StrEnum):
    """How much a reading matters."""

    NORMAL = "normal"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, kw_only=True)
class Pattern:
    """One judged reading."""

    level: Level
    subject: str
    share: float
    because: str


def evaluate(loads: list[Load], *, record: Path) -> list[Pattern]:
    """Return one pattern per load, in the same order."""
    patterns = [_judge(load) for load in loads]
    write_record(record, {"patterns": [vars(pattern) for pattern in patterns]})
    return patterns


def _judge(load: Load) -> Pattern:
    reading = load.reading
    level, threshold = _level(reading)
    side = "below" if level is Level.NORMAL else "at or above"
    return Pattern(
        level=level,
        subject=f"{reading.service} {reading.metric}",
        share=load.share,
        because=f"{reading.value:g} {reading.unit}".strip() + f" is {side} {threshold:g}",
    )


def _level(reading: Reading) -> tuple[Level, float]:
    if reading.value >= reading.critical_at:
        return Level.CRITICAL, reading.critical_at
    if reading.value >= reading.warn_at:
        return Level.WARNING, reading.warn_at
    return Level.NORMAL, reading.warn_at
