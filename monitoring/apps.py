"""Django's view of the app."""

from django.apps import AppConfig


class MonitoringConfig(AppConfig):
    """See the package docstring."""

    name = "monitoring"
