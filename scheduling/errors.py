"""What can go wrong at the doors of the scheduler, as one tree.

SchedulingError
├── UnknownJob         the scope has no job of that id
├── DuplicateJob       the id is taken
├── InvalidJob         a field does not fit; names it
├── IllegalTransition  a run cannot go from one state to another
├── FenceRequired      a worker without the fence took a message for several runs
└── TargetError        a standing job's callable cannot be loaded
"""


class SchedulingError(Exception):
    """Base of every expected error; `code` is stable, the text names the thing and the remedy."""

    code = "scheduling_error"


class UnknownJob(SchedulingError):  # noqa: N818 the name reads at the raise
    """No job of that id in the scope."""

    code = "unknown_job"

    def __init__(self, scope: str, job_id: str) -> None:
        super().__init__(
            f"no job {job_id!r} in scope {scope!r}: list the ids with GET /jobs or in the admin"
        )


class DuplicateJob(SchedulingError):  # noqa: N818
    """The id is taken in the scope."""

    code = "duplicate_job"

    def __init__(self, scope: str, job_id: str) -> None:
        super().__init__(
            f"job {job_id!r} exists in scope {scope!r}: change it or choose another id"
        )


class InvalidJob(SchedulingError):  # noqa: N818
    """A value does not fit; `field` names it."""

    code = "invalid_job"

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field


class IllegalTransition(SchedulingError):  # noqa: N818
    """A run cannot go from one state to another; always a defect, never an operator's mistake."""

    code = "illegal_transition"

    def __init__(self, before: str, after: str) -> None:
        super().__init__(f"a run cannot go from {str(before)!r} to {str(after)!r}")


class TargetError(SchedulingError):
    """A target's callable cannot be loaded from its dotted path."""

    code = "target_error"
    retryable = False


class FenceRequired(SchedulingError):  # noqa: N818
    """This message stands for several runs: load `scheduling` in the worker that takes it."""

    code = "fence_required"

    def __init__(self) -> None:
        super().__init__(self.__doc__)
