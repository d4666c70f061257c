"""How an attempt ended, from its worker to the ledger."""

from dataclasses import dataclass, field
from typing import Any

from scheduling.fence import Fence
from scheduling.retry import RetryWish
from scheduling.states import Outcome

PROCESS_LOST = "ProcessLost"
UNKNOWN_TASK = "UnknownTask"
CANNOT_STOP = "CannotStop"
UNSTARTABLE = (UNKNOWN_TASK, CANNOT_STOP)  # no worker can start it; after a grace these fail


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How an attempt ended, as its worker reports it."""

    fence: Fence
    outcome: Outcome
    result: Any = None
    error: str = field(default="", repr=False)
    error_code: str = ""
    wish: RetryWish | None = None
    retryable: bool = True

    @property
    def counts_against_job(self) -> bool:
        """Whether the breaker counts it (SPEC A13).

        A worker that vanished is not the job's fault, nor is one that does not know its task: a
        deployment may be under way. The death of its own process may well be: a task that needs
        more memory than there is kills it each time.
        """
        if self.error_code in UNSTARTABLE:
            return False
        failed = self.outcome in {Outcome.FAILED, Outcome.TIMEOUT}
        return failed or self.error_code == PROCESS_LOST
