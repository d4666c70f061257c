"""`/health`: the probes, for people and machines; open to all, so that it says nothing secret.

Being open to all, it must not be a lever either: however often it is called, the broker and the
disk are asked once every two seconds.
"""

from collections.abc import Generator
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.request import HttpHeaders
from health_check.base import HealthCheckResult
from health_check.views import HealthCheckView, MediaType

from monitoring.probes.measure import words
from monitoring.probes.recent import RecentResults

RECENT = RecentResults()
ANYTHING = "*/*"


class HealthView(HealthCheckView):
    """Answer 200 when every probe passes and 500 when one fails, as HTML, JSON, text or metrics."""

    template_name = "monitoring/health.html"
    feed_author = "Ops"
    extra_context = {"scope": settings.SCHEDULER_SCOPE}

    async def get(  # type: ignore[override] # the library's is a coroutine as well
        self, request: HttpRequest, *args: Any, **kwargs: Any
    ) -> Any:
        """Let the library render what was measured lately."""
        _ask_for_what_can_be_read(request)
        self._measured = await RECENT.get()
        return await super().get(request, *args, **kwargs)  # type: ignore[no-untyped-call]

    def get_checks(self) -> Generator[Any, None, None]:
        """Give what is already known in the place of the checks."""
        yield from map(_Measured, self._measured)

    def render_to_response_json(self, status: int) -> JsonResponse:
        """Return `{probe: words}`; good ones begin with `OK`."""
        return JsonResponse({repr(each.check): _said(each) for each in self.results}, status=status)

    def render_to_response_text(self, status: int) -> HttpResponse:
        """Return one line per probe."""
        lines = "".join(f"{each.check!r}: {_said(each)}\n" for each in self.results)
        return HttpResponse(lines, content_type="text/plain; charset=utf-8", status=status)


def _ask_for_what_can_be_read(request: HttpRequest) -> None:
    """Take an Accept that the library cannot parse, such as Java's own, for one of anything."""
    try:
        tuple(MediaType.parse_header(request.headers.get("Accept", ANYTHING)))  # type: ignore[no-untyped-call]
    except ValueError:
        request.headers = HttpHeaders({**request.META, "HTTP_ACCEPT": ANYTHING})


@dataclass(frozen=True)
class _Measured:
    """Stands for a check that has its result."""

    result: HealthCheckResult

    async def get_result(self, executor: Executor | None = None) -> HealthCheckResult:
        del executor
        return self.result


def _said(result: Any) -> str:
    return words(result) if result.error else f"OK: {words(result)}"
