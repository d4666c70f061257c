"""One thing that must not be, with what shows it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Violation:
    """`kind` is one word to count by; `evidence` names jobs, ids and times."""

    kind: str
    evidence: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.evidence}"
