"""Where a periodic task goes whose row names no queue: where stock beat would send it.

That is what the task declares and what the routes and the default queue of the beat's own Celery
app say. With one exception: the default queue may be our scope's own, which only workers with our
app serve. A task that this app does not know is somebody else's, and so are the workers that know
it. They listen where Celery's default is. Nobody doing so, its messages are held back, while in a
queue of ours they would be taken by a worker that can only throw them away.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from celery import Celery

from scheduling.queues import is_own_queue

ADDRESS = ("exchange", "routing_key")
DECLARED = ("queue", *ADDRESS)
CELERYS_DEFAULT = "celery"


@dataclass(frozen=True, kw_only=True)
class Destination:
    """A queue, and exchange with routing key where the message goes by these instead."""

    queue: str
    address: Mapping[str, str] = field(default_factory=dict)


class Routes:
    """Asks a Celery app, on behalf of one scope."""

    def __init__(self, app: Celery, scope: str) -> None:
        self._app = app
        self._scope = scope

    def destination(
        self, task: str, args: Iterable[Any] = (), params: Mapping[str, Any] | None = None
    ) -> Destination:
        """Return where the app would send the task; raises what a router of its own raises."""
        route = self._app.amqp.router.route(
            self._declared(task), task, tuple(args), dict(params or {})
        )
        address = {name: str(route[name]) for name in ADDRESS if route.get(name)}
        queue = route["queue"].name if route.get("queue") else self._default()
        return Destination(
            queue=CELERYS_DEFAULT if self._is_lost_in(queue, task) else queue,
            address=address if len(address) == len(ADDRESS) else {},
        )

    def _declared(self, task: str) -> dict[str, Any]:
        known = self._app.tasks.get(task)
        declared = {name: getattr(known, name, None) for name in DECLARED}
        return {name: value for name, value in declared.items() if value}

    def _is_lost_in(self, queue: str, task: str) -> bool:
        by_default = queue == self._default() and is_own_queue(queue, self._scope)
        return by_default and task not in self._app.tasks

    def _default(self) -> str:
        return str(self._app.conf.task_default_queue)
