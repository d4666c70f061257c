"""What all of the API sends and takes."""

from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Field, Header, Schema
from pydantic import BeforeValidator, ValidationInfo, model_validator

MOST_JOBS = 1_000
LARGEST_NUMBER = 2**31 - 1  # that an integer of the database holds
LARGEST_ID = 2**63 - 1


def as_whole(given: Any) -> Any:
    """Return a float that is whole as the integer that it is; anything else as it came."""
    return int(given) if isinstance(given, float) and given.is_integer() else given


# To JSON Schema 3.0 is an integer; a text or a boolean is none.
WHOLE = BeforeValidator(as_whole)
Count = Annotated[int, Field(ge=0, le=LARGEST_NUMBER, strict=True), WHOLE]
Limit = Annotated[int, Field(ge=1, le=LARGEST_NUMBER, strict=True), WHOLE]


class Asked(Schema):
    """What the query of an address says; a misspelt name is refused, not passed over."""

    @model_validator(mode="before")
    @classmethod
    def _only_known(cls, given: Any, info: ValidationInfo) -> Any:
        """Look at the query itself: ninja hands on only what it knows."""
        request: HttpRequest = (info.context or {})["request"]
        if unknown := sorted(set(request.GET) - set(cls.model_fields)):
            known = ", ".join(sorted(cls.model_fields))
            raise ValueError(f"{', '.join(map(repr, unknown))} is not known here: give {known}")
        return given


class Page(Asked):
    """Which part of a list."""

    limit: Annotated[int, Field(ge=1, le=MOST_JOBS)] = 100
    offset: Annotated[int, Field(ge=0, le=10_000_000)] = 0


class Problem(Schema):
    """Every error has this shape."""

    code: str
    message: str


REFUSALS = dict.fromkeys((400, 401, 403, 404, 413, 422, 429), Problem)
CONFLICTS = {**REFUSALS, 409: Problem}

IdempotencyKey = Annotated[
    str | None, Header(alias="Idempotency-Key", min_length=1, max_length=100)
]
