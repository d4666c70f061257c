"""Django's view of the app."""

from django.apps import AppConfig


class SchedulingConfig(AppConfig):
    """See the package docstring."""

    name = "scheduling"
