"""A Django project of django-celery-beat alone."""

import os

import dj_database_url

SECRET_KEY = "bench"  # noqa: S105 guards nothing: no web process reads it
INSTALLED_APPS = ["django_celery_beat"]
DATABASES = {"default": dj_database_url.parse(os.environ["DATABASE_URL"], conn_max_age=None)}
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
