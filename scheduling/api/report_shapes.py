"""What foreign workers send of their runs, and what they are answered (SPEC A18)."""

from datetime import datetime
from typing import Annotated, Any, Literal

from ninja import Field, Schema

from scheduling.actions.report_run import LONGEST_ERROR, Report
from scheduling.models import Run

LONGEST_REPORTED = 10 * LONGEST_ERROR  # characters; of more than is kept, the middle is left out
Code = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,100}$")]
ErrorText = Annotated[str, Field(max_length=LONGEST_REPORTED)]


class LastRun(Schema, extra="forbid"):
    """How a run ended; an empty body says that it is done."""

    status: Literal["done", "failed"] = "done"
    error: ErrorText = ""
    error_code: Code | None = None
    result: Any = None
    scope: str | None = Field(default=None, description="If given, it has to be this scheduler's.")

    def report(self) -> Report:
        """Return it as the action takes it; an error alone says that it failed."""
        return Report(
            done=self.status == "done" and not self.error,
            result=self.result,
            error=self.error,
            error_code=self.error_code or "",
        )


class LastRunOut(Schema):
    """Which run the report ended; null: none was open, and only the job's status was set."""

    job_id: str
    run_id: str | None
    status: str


class StartIn(Schema, extra="forbid"):
    """Who starts it: a name that no other reporter has, so that he may ask twice."""

    reporter: Annotated[str, Field(min_length=1, max_length=200)]


class StartOut(Schema):
    """What is to be done, until when, and how often to say that it goes on."""

    run_id: str
    attempt: int
    params: dict[str, Any]
    deadline_at: datetime | None
    lease_sec: float

    @classmethod
    def of(cls, run: Run, *, lease_sec: float) -> "StartOut":
        """Read a run that was just started."""
        return cls(
            run_id=str(run.pk),
            attempt=run.attempt,
            params=run.params,
            deadline_at=run.deadline_at,
            lease_sec=lease_sec,
        )


class LeaseOut(Schema):
    """`cancel`: stop, and report how it ended."""

    cancel: bool
    reason: str


class SucceedIn(Schema, extra="forbid"):
    """What came of it, at most 64 KiB of JSON."""

    result: Any = None


class FailIn(Schema, extra="forbid"):
    """What went wrong."""

    error: ErrorText = ""
    error_code: Code | None = None


class EndOut(Schema):
    """What became of the run: its verdict, or `pending` where another attempt follows."""

    run_id: str
    state: str


class StartupIn(Schema, extra="forbid"):
    """`boot_id`: a name for this start of the worker; the same one gives the same run."""

    boot_id: Annotated[str, Field(min_length=1, max_length=100)]


class StartupOut(Schema):
    """The start-up run; null where the job is paused or disabled."""

    run_id: str | None
