"""The REST API, put together from the apps' routers, and what it answers where no route is."""

import re

from django.conf import settings
from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.utils.deprecation import MiddlewareMixin
from ninja import NinjaAPI

from scheduling.api.auth import PerToken
from scheduling.api.events import of_an_office as events_of_an_office
from scheduling.api.events import router as events
from scheduling.api.jobs import router as jobs
from scheduling.api.office_runs import router as office_runs
from scheduling.api.offices import router as offices
from scheduling.api.problems import answer_problems
from scheduling.api.reports import router as reports
from scheduling.api.webhooks import router as webhooks

api = NinjaAPI(
    title="Operations platform",
    version="1",
    openapi_url="/api/openapi.json",
    docs_url=None,  # its page loads assets from elsewhere; ours is `api_docs`
    throttle=PerToken(settings.OPS_API_RATE),
)
api.add_router("", jobs)
api.add_router("/api/runs", reports)
api.add_router("/api/events", events)
api.add_router("/api/offices", events_of_an_office)
api.add_router("/api/offices", offices)
api.add_router("/api/offices", office_runs)
api.add_router("/api/webhooks", webhooks)
answer_problems(api)

CODES = {404: "not_found", 405: "method_not_allowed"}


class ApiRefusals(MiddlewareMixin):
    """Give the API's one shape to what is refused before an operation of it is found.

    Django refuses an unknown path and ninja a wrong method, neither through the API's handlers.
    """

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        """Replace a 404 or 405 under /jobs and /api that is not JSON yet."""
        code = CODES.get(response.status_code)
        ours = re.match(r"/(jobs|api)(/|$)", request.path_info)
        said = response.headers.get("Content-Type", "").startswith("application/json")
        if said or not (code and ours):
            return response
        body = {"code": code, "message": _remedy(response)}
        allow = {"Allow": response.headers["Allow"]} if "Allow" in response.headers else None
        return JsonResponse(body, status=response.status_code, headers=allow)


def _remedy(response: HttpResponseBase) -> str:
    if "Allow" in response.headers:
        return f"this address takes {response.headers['Allow']} only"
    return "nothing is at this address: /api/openapi.json lists those that exist"
