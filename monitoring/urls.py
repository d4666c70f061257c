"""The pages of monitoring."""

from django.contrib.auth.views import LoginView, LogoutView
from django.templatetags.static import static
from django.urls import path, re_path
from django.views.generic import RedirectView

from monitoring.views.flower import flower
from monitoring.views.health import HealthView
from monitoring.views.operate import pause, resume, run_now
from monitoring.views.runs import run_detail
from monitoring.views.status import live, status

urlpatterns = [
    path("", status, name="status"),
    path("status/live", live, name="status-live"),
    path("status/jobs/<int:job_pk>/run-now", run_now, name="job-run-now"),
    path("status/jobs/<int:job_pk>/pause", pause, name="job-pause"),
    path("status/jobs/<int:job_pk>/resume", resume, name="job-resume"),
    path("runs/<uuid:run_id>", run_detail, name="run"),
    re_path(r"^health/?$", HealthView.as_view(), name="health"),
    re_path(r"^flower(?:/(?P<path>.*))?$", flower, name="flower"),
    path("login/", LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path(
        "favicon.ico",
        RedirectView.as_view(url=static("monitoring/favicon.svg"), permanent=False),
    ),
]
