"""Every error of the API in one shape, with a stable code; what quotes input is redacted."""

import logging
from math import ceil

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, Throttled, ValidationError

from scheduling.errors import (
    ChangedMeanwhile,
    DuplicateJob,
    DuplicateOffice,
    KeyReused,
    NotPossible,
    NotYours,
    OfficeArchived,
    SchedulingError,
    SubmissionUnderway,
    UnknownJob,
    UnknownOffice,
    UnknownRun,
    UnknownWebhook,
)
from scheduling.logs import configured_redactor

logger = logging.getLogger(__name__)

STATUS: dict[type[SchedulingError], int] = {
    **dict.fromkeys((UnknownJob, UnknownOffice, UnknownRun, UnknownWebhook), 404),
    **dict.fromkeys((DuplicateJob, DuplicateOffice, KeyReused, SubmissionUnderway), 409),
    **dict.fromkeys((NotPossible, NotYours, OfficeArchived), 409),
    ChangedMeanwhile: 412,
}
CODES = {400: "bad_request", 403: "forbidden", 404: "not_found"}


def answer_problems(api: NinjaAPI) -> None:
    """Have the API answer expected errors as `{"code": …, "message": …}`."""

    @api.exception_handler(SchedulingError)
    def refused(request: HttpRequest, error: SchedulingError) -> HttpResponse:
        text = configured_redactor().text(str(error))
        return _problem(api, request, STATUS.get(type(error), 422), error.code, text)

    @api.exception_handler(ValidationError)
    def invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
        fields = (
            f"{'.'.join(str(part) for part in item['loc'][1:]) or item['loc'][0]}: "
            + configured_redactor().text(item["msg"].removeprefix("Value error, "))
            for item in error.errors
        )
        return _problem(api, request, 422, "invalid", "; ".join(fields))

    @api.exception_handler(AuthenticationError)
    def unknown(request: HttpRequest, error: AuthenticationError) -> HttpResponse:
        del error
        remedy = "send `Authorization: Bearer <token>`, made by manage.py create_token"
        return _problem(api, request, 401, "unauthorized", remedy)

    @api.exception_handler(HttpError)
    def http(request: HttpRequest, error: HttpError) -> HttpResponse:
        code = CODES.get(error.status_code, "refused")
        text = str(error)
        if isinstance(error.__cause__, ValueError):  # of the JSON
            text = f"the body is no JSON: {error.__cause__}"
        return _problem(api, request, error.status_code, code, configured_redactor().text(text))

    @api.exception_handler(Throttled)
    def too_many(request: HttpRequest, error: Throttled) -> HttpResponse:
        seconds = ceil(error.wait or 1)
        remedy = f"too many requests with this token: wait {seconds} s, or raise OPS_API_RATE"
        answer = _problem(api, request, 429, "too_many_requests", remedy)
        answer["Retry-After"] = str(seconds)
        return answer

    @api.exception_handler(RequestDataTooBig)
    def too_large(request: HttpRequest, error: RequestDataTooBig) -> HttpResponse:
        del error
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        return _problem(api, request, 413, "too_large", f"the body is larger than {limit} bytes")

    @api.exception_handler(Exception)
    def broken(request: HttpRequest, error: Exception) -> HttpResponse:
        logger.error("request_failed", exc_info=error, extra={"path": request.path})
        return _problem(api, request, 500, "internal", "this is our fault, and it was logged")


def _problem(
    api: NinjaAPI, request: HttpRequest, status: int, code: str, message: str
) -> HttpResponse:
    return api.create_response(request, {"code": code, "message": message}, status=status)
