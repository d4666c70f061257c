"""Texts and JSON values that every database can store: no NUL, no half of a surrogate pair."""

import json
import math
from typing import Any

from scheduling.errors import InvalidJob

DEEPEST = 64
LARGEST_BYTES = 64 * 1024
LONGEST_ESCAPE = 12  # bytes of JSON that one character may take: two halves of a surrogate pair


def storable(text: str) -> str:
    """Return the text with what PostgreSQL refuses written as an escape."""
    if text.isascii() and "\x00" not in text:  # as almost all, and much faster seen
        return text
    return text.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode("utf-8")


def storable_value(value: Any) -> Any:
    """Return a JSON value with every text in it made storable, keys included."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict):
        return {storable(str(key)): storable_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [storable_value(item) for item in value]
    return value


def require_storable(field: str, value: Any) -> None:
    """Raise InvalidJob for an operator's value that no row, or no message, should carry."""
    if problem := _problem_of(value, depth=0):
        raise InvalidJob(field, problem)
    if _may_be_large(value) and len(json.dumps(value)) > LARGEST_BYTES:
        raise InvalidJob(field, f"is larger than {LARGEST_BYTES} bytes: pass a reference instead")


def _may_be_large(value: Any) -> bool:
    return not isinstance(value, str) or len(value) * LONGEST_ESCAPE > LARGEST_BYTES


def _problem_of(value: Any, *, depth: int) -> str:
    if depth > DEEPEST:
        return f"is nested more than {DEEPEST} levels deep"
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            return "has a key that is no text: write it as one"
        value = [*value, *value.values()]
    if isinstance(value, list | tuple):
        return next(filter(None, (_problem_of(part, depth=depth + 1) for part in value)), "")
    return _problem_of_leaf(value)


def _problem_of_leaf(value: Any) -> str:
    if isinstance(value, str) and storable(value) != value:
        return "has a NUL or half a surrogate pair: remove it"
    if isinstance(value, float) and not math.isfinite(value):
        return f"has {value}, which JSON cannot say: use a number or null"
    if value is not None and not isinstance(value, str | int | float):
        return f"has a {type(value).__name__}, which JSON cannot say: use texts, numbers and lists"
    return ""


def encode_result(result: Any) -> str:
    """Return an attempt's result as JSON text of at most 64 KiB; what does not fit is described."""
    try:
        text = json.dumps(result, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        return json.dumps({"unserializable": type(result).__name__, "why": str(error)[:200]})
    size = len(text.encode())
    if size > LARGEST_BYTES:
        return json.dumps({"too_large_bytes": size, "limit_bytes": LARGEST_BYTES})
    return text
