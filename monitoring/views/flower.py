"""Flower behind a staff check: read through this page, operated through the admin."""

from urllib.parse import SplitResult, quote, unquote, urlsplit

import httpx
from csp.constants import SELF, UNSAFE_INLINE
from csp.decorators import csp_update
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt

from monitoring.views.access import staff

TIMEOUT_SECONDS = 10.0
PREFIX = "/flower"
# The one inline script of Flower 2.2, `var autorefresh = 1;` on the page of workers.
AUTOREFRESH = "'sha256-A0YIP5A+DKoseGAUTHRoMPDkKPK5cKzfYH3mjcCKtj8='"
CONTENT_SECURITY = {
    "script-src": [SELF, AUTOREFRESH],
    "style-src": [SELF, UNSAFE_INLINE],  # its tables set widths in style attributes
}
READ_BY_POST = "tasks/datatable"  # how the page of tasks asks for its rows
FORWARDED = (
    "Accept",
    "Content-Type",
    "Accept-Language",
    "If-None-Match",
    "If-Modified-Since",
    "X-Requested-With",
)
RETURNED = ("Content-Type", "Etag", "Last-Modified", "Cache-Control", "Content-Disposition")


@csrf_exempt  # nothing that changes anything passes, and Flower's own pages know no token of ours
@never_cache
@csp_update(CONTENT_SECURITY)
@staff
def flower(request: HttpRequest, path: str = "") -> HttpResponse:
    """Return Flower's page, or say in words why there is none.

    405 for anything but reading, 404 for what cannot be a page, 503 while Flower is not there.
    """
    if request.method not in {"GET", "HEAD"} and (request.method, path) != ("POST", READ_BY_POST):
        return _said(request, 405, "Flower is for looking here. To act on runs, use the admin.")
    if not settings.OPS_FLOWER_URL:
        return _said(
            request, 503, "Flower is not configured: `up` starts it, elsewhere set OPS_FLOWER_URL."
        )
    try:
        return _relay(_ask(request, path))
    except httpx.InvalidURL:
        return _said(request, 404, "Flower has no such page.")
    except httpx.HTTPError:  # its text may hold the address
        return _said(request, 503, "Flower is not answering. It may be starting: try again soon.")


def _ask(request: HttpRequest, path: str) -> httpx.Response:
    """Send on what a reader needs; our cookies stay here, and the credentials in a header.

    Raises httpx.InvalidURL for what is no page of Flower, and httpx.HTTPError without an answer.
    """
    parts = urlsplit(settings.OPS_FLOWER_URL)
    address = f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)
    base = parts.path.rstrip("/") or PREFIX
    query = request.META.get("QUERY_STRING", "")
    return httpx.request(
        str(request.method),
        f"{parts.scheme}://{address}{base}/{_quoted(path)}" + (f"?{query}" if query else ""),
        content=request.body,
        headers=_forwarded(request),
        auth=_credentials(parts),
        timeout=TIMEOUT_SECONDS,
        follow_redirects=False,
        trust_env=False,
    )


def _quoted(path: str) -> str:
    """Return the path as one: `?` and `#` in it begin nothing, and it does not climb out."""
    if ".." in path.split("/"):
        raise httpx.InvalidURL("a path that leaves Flower")
    return quote(path, safe="/:@!$&'()*+,;=~")


def _forwarded(request: HttpRequest) -> dict[str, str]:
    """Return the headers that are sent on; httpx encodes none but ASCII."""
    given = {name: request.headers[name] for name in FORWARDED if name in request.headers}
    return {name: value for name, value in given.items() if value.isascii()}


def _credentials(parts: SplitResult) -> tuple[str, str] | None:
    """Return user and password as they were before they were written into a URL."""
    if not parts.username:
        return None
    return unquote(parts.username), unquote(parts.password or "")


def _relay(answer: httpx.Response) -> HttpResponse:
    """Return the answer with the headers that are safe to pass on."""
    headers = {name: answer.headers[name] for name in RETURNED if name in answer.headers}
    if "Location" in answer.headers:
        # Only the path: wherever Flower thinks it lives, the visitor is here.
        target = urlsplit(answer.headers["Location"])
        headers["Location"] = target._replace(scheme="", netloc="").geturl()
    return HttpResponse(answer.content, status=answer.status_code, headers=headers)


def _said(request: HttpRequest, code: int, text: str) -> HttpResponse:
    context = {"text": text, "scope": settings.SCHEDULER_SCOPE}
    response = render(request, "monitoring/flower_absent.html", context, status=code)
    if code == 405:  # noqa: PLR2004 the one answer that must name the allowed ways
        response.headers["Allow"] = "GET, HEAD"
    return response
