"""Does something for many at once and, where one of them spoils that, for each alone.

One poisonous row, corrupted by hand, stops neither the loop nor the others: what fails alone too is
`aside`'s. An outage of the database is nobody's fault, and is raised. Where nothing is wrong this
asks the database for nothing.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any, TypeVar

from django.db.models import Model, QuerySet

from scheduling.outage import is_outage

logger = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")
Row = TypeVar("Row", bound=Model)
SetAside = Callable[[Any, Exception], object]  # takes the item, and why it failed alone


def together_or_alone(
    items: Sequence[Item], do: Callable[[Sequence[Item]], Result], *, set_aside: SetAside
) -> list[Result]:
    """Return what `do` made of the items: of all of them, or of each that did not fail alone.

    `do` is atomic, or harmless when it is done twice. It is not called for no items.
    """
    if not items:
        return []
    try:
        return [do(items)]
    except Exception as error:
        if is_outage(error):
            raise
        logger.warning("failed_together", extra={"items": len(items), "error": str(error)})
    return each_alone(items, lambda item: do([item]), set_aside=set_aside)


def each_alone(
    items: Iterable[Item], do: Callable[[Item], Result], *, set_aside: SetAside
) -> list[Result]:
    """Return what `do` made of each item, but of those that failed, which are set aside."""
    results = []
    for item in items:
        try:
            results.append(do(item))
        except Exception as error:
            if is_outage(error):
                raise
            _set_aside(item, error, set_aside)
    return results


def _set_aside(item: Any, error: Exception, set_aside: SetAside) -> None:
    try:
        set_aside(item, error)
    except Exception as refusal:
        if is_outage(refusal):
            raise
        logger.exception("not_set_aside", extra={"item": str(item)})


def read_rows(rows: QuerySet[Row], *, set_aside: SetAside, limit: int | None = None) -> list[Row]:
    """Return the first rows in their order; one that cannot be read hides no other."""
    page = rows[:limit]
    try:
        return list(page)
    except Exception as error:
        if is_outage(error):
            raise
        logger.warning("page_not_readable", extra={"error": str(error)})
    ids = list(page.values_list("pk", flat=True))
    found = each_alone(ids, lambda pk: list(rows.filter(pk=pk)), set_aside=set_aside)
    return list(chain.from_iterable(found))
