"""Masks secrets in texts and in nested values."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from scheduling.errors import SchedulingError
from scheduling.redaction.rules import (
    AWS_SECRET,
    EDGE,
    LONG_RUN,
    MASK,
    NAMED,
    SECRET_NAME,
    SHAPES,
    Rule,
    is_hash,
)

DEEPEST = 64
# A placeholder that is a word must not grow together with its neighbours.
TOUCHING = re.compile(f"(?<=[A-Za-z0-9])(?={MASK})|(?<={MASK})(?=[A-Za-z0-9])")
ADJACENT = re.compile(f"{MASK}+")


class RedactionError(SchedulingError):
    """A pattern or placeholder that cannot be used; names it and the remedy."""

    code = "bad_redaction"


@dataclass(frozen=True)
class Redactor:
    """Masks what SPEC D4 lists, and `patterns`; the same text comes out if it is masked again.

    `keep_hashes` spares runs of exactly 40 or 64 hexadecimal digits. Custom patterns are applied
    as they are: their running time is their author's.
    """

    patterns: Sequence[str] = ()
    placeholder: str = "[REDACTED]"
    keep_hashes: bool = False
    _rules: tuple[Rule, ...] = field(init=False, repr=False, compare=False)
    _placed: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        ours = (
            *SHAPES,
            *NAMED,
            AWS_SECRET,
            Rule(LONG_RUN, spare=is_hash if self.keep_hashes else None),
        )
        custom = tuple(Rule(_compiled(pattern)) for pattern in self.patterns)
        # A custom pattern may neither cut a secret in two nor hide the edge at which one starts.
        rules = (*ours, *custom, *ours) if custom else ours
        object.__setattr__(self, "patterns", tuple(self.patterns))
        object.__setattr__(self, "_placed", _as_placed(self.placeholder))
        object.__setattr__(self, "_rules", rules)

    def text(self, text: str) -> str:
        """Return `text` with the placeholder for each secret."""
        masked = self._placed.sub(MASK, text.replace(MASK, "\ufffd"))
        for rule in self._rules:
            masked = rule.apply(masked)
        if self.placeholder[0].isalnum() or self.placeholder[-1].isalnum():
            masked = TOUCHING.sub(" ", masked)
        return ADJACENT.sub(lambda _: self.placeholder, masked)

    def value(self, value: Any, *, typed: Collection[str] = ()) -> Any:
        """Return a copy with every text masked, and whole what a dict holds under a secret's name.

        Texts under a key in `typed` are ids, checksums and the like, not free text (SPEC D4). What
        is neither text nor container is returned as it is; a cycle or absurd depth is masked.
        """
        return self._walk(value, frozenset(typed), ())

    def _walk(self, value: Any, typed: frozenset[str], inside: tuple[int, ...]) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, bytes):
            return self.text(value.decode(errors="replace")).encode()
        if not isinstance(value, dict | list | tuple | set | frozenset):
            return value
        if len(inside) >= DEEPEST or id(value) in inside:
            return self.placeholder
        inside = (*inside, id(value))
        if isinstance(value, dict):
            return {
                self._walk(key, typed, inside): self._member(key, member, typed, inside)
                for key, member in value.items()
            }
        items = [self._walk(member, typed, inside) for member in value]
        return items if isinstance(value, list) else _plain(type(value))(items)

    def _member(self, key: Any, value: Any, typed: frozenset[str], inside: tuple[int, ...]) -> Any:
        if key in typed and isinstance(value, str):
            return value
        if value is not None and isinstance(key, str) and SECRET_NAME.search(key):
            return self.placeholder
        return self._walk(value, typed, inside)


def _as_placed(placeholder: str) -> re.Pattern[str]:
    """Return what finds a placeholder that an earlier pass left, but no part of a longer word."""
    if re.search(r"[\"'\\\n]", placeholder) or re.fullmatch(r"[\s._:=@/+%~&,;-]*", placeholder):
        raise RedactionError(
            f"placeholder {placeholder!r}: use a word or a sign such as [REDACTED], without quotes,"
            " backslash or line end"
        )
    left = EDGE if placeholder[0].isalnum() else ""
    right = r"(?![A-Za-z0-9])" if placeholder[-1].isalnum() else ""
    return re.compile(left + re.escape(placeholder) + right)


def _plain(kind: type) -> type:
    """A named tuple or another subclass may want other arguments than its items."""
    return next(base for base in (tuple, frozenset, set) if issubclass(kind, base))


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise RedactionError(
            f"redaction pattern {pattern!r} is no regular expression: {error}"
        ) from error
    if compiled.search(""):
        raise RedactionError(
            f"redaction pattern {pattern!r} matches the empty text: make it match something"
        )
    return compiled
