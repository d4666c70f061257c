"""What can go wrong at the doors of the scheduler, as one tree.

SchedulingError
├── UnknownJob         the scope has no job of that id
├── DuplicateJob       the id is taken
├── InvalidJob         a field does not fit; names it
├── UnknownOffice      the scope has no office of that id
├── DuplicateOffice    the id is taken
├── InvalidOffice      a field does not fit; names it
├── OfficeArchived     nothing can be submitted to it any more
├── DependencyCycle    submitted work waits for itself; names the ring
├── UnknownReference   submitted work waits for what is not there; names it
├── KeyReused          an idempotency key came with something else than the first time
├── SubmissionUnderway the first request with this idempotency key is still at work
├── InvalidToken       a token cannot be made like that; names the field
├── ChangedMeanwhile   what is to be changed is no longer what the caller has seen
├── UnknownWebhook     the scope has no webhook of that id
├── InvalidWebhook     a field does not fit; names it
├── UnknownRun         the office has no run of that id
├── NotPossible        a run is not in a state for it; names the state
├── NotYours           an attempt is another worker's, or over; its message is to be dropped
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


class UnknownOffice(SchedulingError):  # noqa: N818
    """No office of that id in the scope."""

    code = "unknown_office"

    def __init__(self, scope: str, office_id: str) -> None:
        super().__init__(
            f"no office {office_id!r} in scope {scope!r}: list the ids with GET /api/offices "
            "or in the admin"
        )


class DuplicateOffice(SchedulingError):  # noqa: N818
    """The id is taken in the scope."""

    code = "duplicate_office"

    def __init__(self, scope: str, office_id: str) -> None:
        super().__init__(
            f"office {office_id!r} exists in scope {scope!r}: change it or choose another id"
        )


class InvalidOffice(SchedulingError):  # noqa: N818
    """A value does not fit; `field` names it."""

    code = "invalid_office"

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field


class OfficeArchived(SchedulingError):  # noqa: N818
    """Nothing can be submitted to it any more."""

    code = "office_archived"

    def __init__(self, office_id: str) -> None:
        super().__init__(f"office {office_id!r} is archived: activate it first")


class DependencyCycle(SchedulingError):  # noqa: N818
    """Work that waits for itself; `keys` are the ring, the first one again at its end."""

    code = "dependency_cycle"

    def __init__(self, keys: list[str]) -> None:
        super().__init__(f"depends_on goes round in a circle: {' → '.join(keys)}")
        self.keys = keys


class UnknownReference(SchedulingError):  # noqa: N818
    """Work that waits for what is neither submitted with it nor in the office; `keys` names it."""

    code = "unknown_reference"

    def __init__(self, keys: list[str]) -> None:
        named = ", ".join(map(repr, keys))
        super().__init__(
            f"depends_on names {named}: neither an id of this submission nor a run of the office"
        )
        self.keys = keys


class KeyReused(SchedulingError):  # noqa: N818
    """The idempotency key was used for something else."""

    code = "idempotency_key_reused"

    def __init__(self, key: str) -> None:
        super().__init__(
            f"idempotency key {key!r} was used for something else: draw a new one for new work"
        )


class SubmissionUnderway(SchedulingError):  # noqa: N818
    """The first request with this idempotency key is still at work."""

    code = "submission_underway"

    def __init__(self, key: str) -> None:
        super().__init__(
            f"the submission with idempotency key {key!r} is being written: ask again soon; if its "
            "process died, what it left is taken away within ten minutes, and it is taken anew"
        )


class InvalidToken(SchedulingError):  # noqa: N818
    """A value does not fit; `field` names it."""

    code = "invalid_token"

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field


class UnknownWebhook(SchedulingError):  # noqa: N818
    """The scope has no webhook of that id."""

    code = "unknown_webhook"

    def __init__(self, scope: str, webhook_id: int) -> None:
        super().__init__(
            f"no webhook {webhook_id} in scope {scope!r}: list them with GET /api/webhooks"
        )


class InvalidWebhook(SchedulingError):  # noqa: N818
    """A value does not fit; `field` names it."""

    code = "invalid_webhook"

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field


class ChangedMeanwhile(SchedulingError):  # noqa: N818
    """What is to be changed is no longer what the caller has seen."""

    code = "changed_meanwhile"

    def __init__(self, what: object) -> None:
        super().__init__(f"{what} was changed meanwhile: get it again and decide anew")


class UnknownRun(SchedulingError):  # noqa: N818
    """The office has no run of that id."""

    code = "unknown_run"

    def __init__(self, office_id: str, run_id: str) -> None:
        super().__init__(
            f"office {office_id!r} has no run {run_id!r}: "
            f"list them with GET /api/offices/{office_id}/jobs"
        )


class NotPossible(SchedulingError):  # noqa: N818
    """A run is not in a state for what is asked; the text names the state and the remedy."""

    code = "not_possible"


class NotYours(SchedulingError):  # noqa: N818
    """An attempt is not its reporter's to start, or no longer his: what he says is of no use."""

    code = "not_yours"

    def __init__(self, fence: object) -> None:
        super().__init__(
            f"attempt {fence} is over, was given to somebody else, or may not start now: "
            "drop its message and stop what you do for it"
        )


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
