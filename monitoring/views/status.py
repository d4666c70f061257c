"""The status page, and the part of it that is polled."""

from zoneinfo import ZoneInfo

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from monitoring.board import board_version, read_board
from monitoring.views.access import is_operator, signed_in


@never_cache
@require_safe
@signed_in
def status(request: HttpRequest) -> HttpResponse:
    """Show the whole page."""
    return render_board(request, "monitoring/status.html")


@never_cache
@require_safe
@signed_in
def live(request: HttpRequest) -> HttpResponse:
    """Answer a poll: 204 while the page shows what is, else the live part anew."""
    if request.GET.get("version") == board_version(settings.SCHEDULER_SCOPE):
        return HttpResponse(status=204)
    return render_board(request, "monitoring/_live.html")


def render_board(
    request: HttpRequest, template: str, *, notice: str = "", code: int = 200
) -> HttpResponse:
    """Render the board with its times in the scheduler's zone."""
    board = read_board(settings.SCHEDULER_SCOPE, page_number=request.GET.get("page", "1"))
    context = {
        "board": board,
        "scope": settings.SCHEDULER_SCOPE,
        "zone": settings.SCHEDULER_TIMEZONE,
        "operator": is_operator(request),
        "notice": notice,
        "refused": code >= 400,  # noqa: PLR2004 where HTTP's refusals begin
    }
    with timezone.override(ZoneInfo(settings.SCHEDULER_TIMEZONE)):
        return render(request, template, context, status=code)
