"""Refuses values that do not fit a job, naming the field; nothing is clamped (SPEC A13)."""

import re
from datetime import timedelta

from django.core.exceptions import ValidationError

from scheduling.errors import InvalidJob
from scheduling.models import Job
from scheduling.models.job import MisfirePolicy
from scheduling.storable import require_storable

A_SECOND = timedelta(seconds=1)
ERROR_CODE = re.compile(r"[A-Za-z0-9_.:-]{1,100}")


def check_fields(job: Job) -> None:
    """Raise InvalidJob for the first field that the model, or another field, contradicts."""
    try:
        job.full_clean(exclude=["schedule"])
    except ValidationError as error:
        name, problems = next(iter(error.message_dict.items()))
        raise InvalidJob(name, " ".join(problems)) from error
    for name in ("task", "queue", "description", "params", "args"):
        require_storable(name, getattr(job, name))
    if job.is_foreign:
        _check_foreign(job)
    base, cap, expires = job.retry_base, job.retry_cap, job.expires_after
    if base is not None and cap is not None and cap < base:
        raise InvalidJob("retry_cap", f"{cap} is shorter than retry_base {base}")
    if expires is not None and expires % A_SECOND:
        raise InvalidJob("expires_after", f"{expires} is not in whole seconds")
    _refuse_what_never_runs(job)
    if not _are_codes(job.non_retryable_codes):
        raise InvalidJob(
            "non_retryable_codes",
            f"{job.non_retryable_codes!r} is not a list of error codes: "
            'give for example ["ValueError", "GIT_CONFLICT"]',
        )


def _check_foreign(job: Job) -> None:
    """What a JSON message cannot say, or nobody would end."""
    if job.timeout is None:
        raise InvalidJob("timeout", "a job of foreign workers needs one: they declare none")
    if job.args:
        raise InvalidJob("args", "foreign workers get params only: give each value a name")


def _refuse_what_never_runs(job: Job) -> None:
    """A beat sees no tick at the very instant: without some lateness that is allowed none runs."""
    grace, window = job.misfire_grace, job.catch_up_window
    if job.misfire == MisfirePolicy.SKIP and grace < A_SECOND:
        raise InvalidJob(
            "misfire_grace", f"with misfire 'skip' {grace} would skip every tick: give 1 s or more"
        )
    shortest = max(grace, A_SECOND)
    if job.misfire == MisfirePolicy.ALL and window < shortest:
        raise InvalidJob(
            "catch_up_window",
            f"with misfire 'all' {window} misses ticks on time: give {shortest} or more",
        )


def _are_codes(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(code, str) and ERROR_CODE.fullmatch(code) for code in value
    )
