"""Texts and JSON values that every database can store: no NUL, no half of a surrogate pair."""

from typing import Any

from scheduling.errors import InvalidJob


def storable(text: str) -> str:
    """Return the text with what PostgreSQL refuses written as an escape."""
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
    """Raise InvalidJob for an operator's value that would have to be changed to be stored."""
    if storable_value(value) != value:
        raise InvalidJob(field, "has a NUL or half a surrogate pair: remove it")
