"""Decide: draw one decision from all patterns and keep it as a decision snapshot."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from opsproject.eteda.evaluate import Level, Pattern
from opsproject.eteda.files import write_record


class Course(StrEnum):
    """What to do; the worst level of the sheet decides."""

    CARRY_ON = "carry_on"
    WATCH = "watch"
    ESCALATE = "escalate"


COURSES = ((Level.CRITICAL, Course.ESCALATE), (Level.WARNING, Course.WATCH))


@dataclass(frozen=True, kw_only=True)
class Decision:
    """The course, and the readings that led to it in words."""

    course: Course
    reasons: list[str]


def decide(patterns: list[Pattern], *, snapshot: Path) -> Decision:
    """Return the decision for one sheet."""
    decision = _weigh(patterns)
    write_record(snapshot, asdict(decision))
    return decision


def _weigh(patterns: list[Pattern]) -> Decision:
    for level, course in COURSES:
        reasons = [f"{each.subject}: {each.because}" for each in patterns if each.level is level]
        if reasons:
            return Decision(course=course, reasons=reasons)
    return Decision(course=Course.CARRY_ON, reasons=[])
