"""How an attempt ended, from its worker to the ledger."""

from dataclasses import dataclass, field
from typing import Any

from scheduling.fence import Fence
from scheduling.retry import RetryWish
from scheduling.states import Outcome


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
