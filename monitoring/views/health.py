"""`/health`: the probes, for people and machines; open to all, so that it says nothing secret."""

from collections.abc import Generator
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from typing import Any

from django.conf import settings
from django.http import HttpResponse, JsonResponse
from health_check.base import HealthCheck
from health_check.views import HealthCheckView

from monitoring.probes.measure import PROBES, probe_threads, words


class HealthView(HealthCheckView):
    """Answer 200 when every probe passes and 500 when one fails, as HTML, JSON, text or metrics."""

    template_name = "monitoring/health.html"
    feed_author = "Ops"
    extra_context = {"scope": settings.SCHEDULER_SCOPE}

    def get_checks(self) -> Generator[HealthCheck, None, None]:
        """Give every probe anew: a probe keeps what it found."""
        yield from (probe() for probe in PROBES)

    def get_executor(self) -> AbstractContextManager[Executor]:
        """Give threads that are not waited for when one hangs."""
        return probe_threads()

    def render_to_response_json(self, status: int) -> JsonResponse:
        """Return `{probe: words}`; good ones begin with `OK`."""
        return JsonResponse({repr(each.check): _said(each) for each in self.results}, status=status)

    def render_to_response_text(self, status: int) -> HttpResponse:
        """Return one line per probe."""
        lines = "".join(f"{each.check!r}: {_said(each)}\n" for each in self.results)
        return HttpResponse(lines, content_type="text/plain; charset=utf-8", status=status)


def _said(result: Any) -> str:
    return words(result) if result.error else f"OK: {words(result)}"
