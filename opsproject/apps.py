"""Django's view of the composition root; it is an app so that its commands are found."""

from django.apps import AppConfig


class OpsprojectConfig(AppConfig):
    """Settings, URLs and the commands that run the platform."""

    name = "opsproject"
