"""One run with all its attempts."""

import json
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from monitoring.views.access import signed_in
from scheduling.logs import configured_redactor
from scheduling.models import Run
from scheduling.states import OPEN


@never_cache
@require_safe
@signed_in
def run_detail(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """Show a run of our scope; 404 for one of another."""
    runs = Run.objects.select_related("job", "worker").prefetch_related("attempts__worker")
    run = get_object_or_404(runs, pk=run_id, scope=settings.SCHEDULER_SCOPE)
    context = {
        "run": run,
        "is_open": run.state in OPEN,
        "attempts": sorted(run.attempts.all(), key=lambda attempt: attempt.number),
        "params": _pretty(run.params),
        "result": _pretty(run.result),
        "scope": settings.SCHEDULER_SCOPE,
        "zone": settings.SCHEDULER_TIMEZONE,
    }
    with timezone.override(ZoneInfo(settings.SCHEDULER_TIMEZONE)):
        return render(request, "monitoring/run.html", context)


def _pretty(value: object) -> str:
    """Return JSON to read, without secrets; nothing for nothing."""
    if value is None or value == {}:
        return ""
    return json.dumps(configured_redactor().value(value), indent=2, ensure_ascii=False)
