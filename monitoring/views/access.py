"""Who may see and who may press: signed-in people see, staff with the permission operate."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import resolve_url
from django_htmx.http import HttpResponseClientRedirect

View = Callable[..., HttpResponse]


def signed_in(view: View) -> View:
    """Send anonymous visitors to the login page; a poll of a page whose session ended, too."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.user.is_authenticated:
            return view(request, *args, **kwargs)
        if request.headers.get("HX-Request") == "true":
            return HttpResponseClientRedirect(resolve_url("login"))
        return redirect_to_login(request.get_full_path())

    return guarded


def staff(view: View) -> View:
    """Let staff in only; others who are signed in get 403."""

    @wraps(view)
    @signed_in
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not request.user.is_staff:
            raise PermissionDenied(
                "This page is for staff: ask an administrator for the staff flag."
            )
        return view(request, *args, **kwargs)

    return guarded


def is_operator(request: HttpRequest) -> bool:
    """Say whether the visitor may run, pause and resume jobs."""
    return request.user.is_staff and request.user.has_perm("scheduling.change_job")


def operator(view: View) -> View:
    """Let operators in only; others who are signed in get 403."""

    @wraps(view)
    @staff
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not is_operator(request):
            raise PermissionDenied(
                "This needs the permission to change jobs: ask an administrator."
            )
        return view(request, *args, **kwargs)

    return guarded
