"""Entity tags: who says what he has seen is refused where it was changed meanwhile."""

from collections.abc import Callable
from hashlib import sha256
from typing import Annotated

from ninja import Header, Schema

from scheduling.errors import ChangedMeanwhile

IfMatch = Annotated[str | None, Header(alias="If-Match")]


def etag_of(shown: Schema) -> str:
    """Return the tag of what is shown, a strong one."""
    return f'"{sha256(shown.model_dump_json().encode()).hexdigest()[:32]}"'


def unless_changed(if_match: str | None, what: str) -> Callable[[Schema], None]:
    """Return a check of what is to be changed, to be made once it is locked.

    It raises ChangedMeanwhile.
    """
    wanted = {tag.strip() for tag in (if_match or "").split(",")} - {""}

    def check(present: Schema) -> None:
        # An empty one is that of a client which has lost what it saw.
        if if_match is not None and not wanted & {"*", etag_of(present)}:
            raise ChangedMeanwhile(what)

    return check
