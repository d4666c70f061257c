"""Two things that happen to a process in the middle of its work: it dies, or it is held up."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from django.db import connection


class Killed(BaseException):
    """As abrupt as SIGKILL: no code catches it."""


@contextmanager
def killed_at_statement(number: int) -> Iterator[None]:
    """Die before that SQL statement, counted from 1; what was not committed is rolled back."""
    left = number

    def count(execute: Callable[..., Any], *call: Any) -> Any:
        nonlocal left
        left -= 1
        if left == 0:
            raise Killed
        return execute(*call)

    with suppress(Killed), connection.execute_wrapper(count):
        yield


@contextmanager
def held_up_before_transaction(number: int, meanwhile: Callable[[], object]) -> Iterator[None]:
    """Let something else happen right before the transaction of that number, counted from 1.

    What was read before may be stale then. Within a transaction its locks hold the others off.
    """
    depth = len(connection.savepoint_ids)
    left = number

    def count(execute: Callable[..., Any], sql: str, *call: Any) -> Any:
        nonlocal left
        if sql.startswith("SAVEPOINT") and len(connection.savepoint_ids) == depth:
            left -= 1
            if left == 0:
                meanwhile()
        return execute(sql, *call)

    with connection.execute_wrapper(count):
        yield
