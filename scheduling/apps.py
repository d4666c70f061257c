"""Django's view of the app; loading it is what installs the ledger in a Celery worker."""

from importlib import import_module

from django.apps import AppConfig


class SchedulingConfig(AppConfig):
    """Jobs, the run ledger and the engine."""

    name = "scheduling"
    default_auto_field = "django.db.models.BigAutoField"  # in any project, as the migrations say

    def ready(self) -> None:
        """Connect to Celery's worker signals; models are importable only now."""
        import_module("scheduling.worker.lifecycle")
