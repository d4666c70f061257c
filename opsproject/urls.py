"""Every path of the site, in one list."""

from django.contrib import admin
from django.urls import include, path

from opsproject.api import api
from opsproject.api_docs import api_docs
from scheduling.api.event_stream import stream_events

admin.site.site_header = admin.site.site_title = "Ops administration"
admin.site.index_title = "What the platform keeps"

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("monitoring.urls")),
    path("api/docs", api_docs, name="api-docs"),
    path("api/events/stream", stream_events),
    path("api/offices/<str:office_id>/events/stream", stream_events),
    path("", api.urls),
]
