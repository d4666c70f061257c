"""Every path of the site, in one list."""

from django.contrib import admin
from django.urls import include, path

from opsproject.api import api

admin.site.site_header = admin.site.site_title = "Ops administration"
admin.site.index_title = "What the platform keeps"

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("monitoring.urls")),
    path("", api.urls),
]
