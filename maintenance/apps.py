"""Django's view of the app."""

from django.apps import AppConfig


class MaintenanceConfig(AppConfig):
    """See the package docstring."""

    name = "maintenance"
