"""Refuses values that do not fit a job, naming the field."""

from django.core.exceptions import ValidationError

from scheduling.errors import InvalidJob
from scheduling.models import Job


def check_fields(job: Job) -> None:
    """Raise InvalidJob for the first field whose value the model refuses."""
    try:
        job.full_clean(exclude=["schedule"])
    except ValidationError as error:
        name, problems = next(iter(error.message_dict.items()))
        raise InvalidJob(name, " ".join(problems)) from error
