"""Every error of the API in one shape, with a stable code and a redacted message."""

import logging

from django.http import HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError

from scheduling.errors import DuplicateJob, SchedulingError, UnknownJob
from scheduling.logs import configured_redactor

logger = logging.getLogger(__name__)

STATUS = {UnknownJob: 404, DuplicateJob: 409}
CODES = {400: "bad_request", 403: "forbidden", 404: "not_found"}


def answer_problems(api: NinjaAPI) -> None:
    """Have the API answer expected errors as `{"code": …, "message": …}`."""

    @api.exception_handler(SchedulingError)
    def refused(request: HttpRequest, error: SchedulingError) -> HttpResponse:
        return _problem(api, request, STATUS.get(type(error), 422), error.code, str(error))

    @api.exception_handler(ValidationError)
    def invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
        fields = (
            f"{'.'.join(str(part) for part in item['loc'][1:]) or item['loc'][0]}: {item['msg']}"
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
        return _problem(api, request, error.status_code, code, str(error))

    @api.exception_handler(Exception)
    def broken(request: HttpRequest, error: Exception) -> HttpResponse:
        logger.error("request_failed", exc_info=error, extra={"path": request.path})
        return _problem(api, request, 500, "internal", "this is our fault, and it was logged")


def _problem(
    api: NinjaAPI, request: HttpRequest, status: int, code: str, message: str
) -> HttpResponse:
    body = {"code": code, "message": configured_redactor().text(message)}
    return api.create_response(request, body, status=status)
