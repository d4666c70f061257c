"""A small Django project of somebody else's, with Celery, django-celery-beat and one task."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from tests.cluster import CHECKOUT
from tests.servers import bare_environment

SETTINGS = """
import os
import dj_database_url

SECRET_KEY = "theirs"
DATABASES = {"default": dj_database_url.parse(os.environ["THEIR_DATABASE"])}
INSTALLED_APPS = [
    "django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes",
    "django.contrib.messages", "django.contrib.sessions", "django_celery_beat",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
PROCESSORS = ["template.context_processors.request", "contrib.auth.context_processors.auth",
              "contrib.messages.context_processors.messages"]
TEMPLATES = [{
    "BACKEND": "django.template.backends.django.DjangoTemplates",
    "APP_DIRS": True,
    "OPTIONS": {"context_processors": [f"django.{name}" for name in PROCESSORS]},
}]
STATIC_URL = "/static/"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "theirs.urls"
CELERY_BROKER_URL = os.environ["THEIR_BROKER"]
CELERY_TIMEZONE = "UTC"
"""
SETTINGS_OF_BEAT = """
from theirs.settings import *

INSTALLED_APPS = [*INSTALLED_APPS, "scheduling"]
"""
CELERY = """
import os
from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "theirs.settings")
app = Celery("theirs")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.autodiscover_tasks(["theirs"])
"""
TASKS = """
from celery import shared_task


@shared_task
def note(path):
    with open(path, "a") as file:
        file.write("ran\\n")
"""
URLS = """
from django.contrib import admin
from django.urls import path

urlpatterns = [path("admin/", admin.site.urls)]
"""
FILES = {
    "__init__.py": "from theirs.celery import app\n",
    "settings.py": SETTINGS,
    "settings_of_beat.py": SETTINGS_OF_BEAT,
    "celery.py": CELERY,
    "urls.py": URLS,
    "tasks.py": TASKS,
}


class ForeignProject:
    """Writes the project, and runs its programs; `stop` ends whatever still lives."""

    def __init__(self, directory: Path, *, database_url: str, broker_url: str) -> None:
        self.directory = directory
        self.log = directory / "theirs.log"
        self._environment = {"THEIR_DATABASE": database_url, "THEIR_BROKER": broker_url}
        self._processes: list[subprocess.Popen[bytes]] = []
        package = directory / "theirs"
        package.mkdir()
        for name, text in FILES.items():
            (package / name).write_text(text)

    def django(self, command: str, *arguments: str, settings: str = "settings_of_beat") -> str:
        """Run a Django command; return what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "django", command, *arguments],
            cwd=self.directory,
            env=self._with(settings),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def query(self, python: str) -> str:
        """Run lines of Python in the project; return what they printed."""
        return self.django("shell", "--no-imports", "-c", python).strip()

    def worker(self, name: str, *, settings: str) -> subprocess.Popen[bytes]:
        """Start a worker as they do."""
        node = ("--hostname", f"{name}@theirs", "--concurrency", "1")
        return self._celery("worker", *node, settings=settings)

    def beat(self) -> subprocess.Popen[bytes]:
        """Start a beat with our scheduler."""
        ours = ("-S", "scheduling.beat:LedgerScheduler")
        return self._celery("beat", *ours, settings="settings_of_beat")

    def end(self, process: subprocess.Popen[bytes]) -> None:
        """Tell a process to stop, and wait until it has."""
        process.terminate()
        process.wait(timeout=30)

    def stop(self) -> None:
        """Kill what is left."""
        for process in self._processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _celery(self, *arguments: str, settings: str) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", "theirs", *arguments],
                cwd=self.directory,
                env=self._with(settings),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._processes.append(process)
        return process

    def _with(self, settings: str) -> dict[str, str]:
        return {
            **bare_environment(),
            **self._environment,
            "PYTHONPATH": os.pathsep.join((str(self.directory), str(CHECKOUT))),
            "DJANGO_SETTINGS_MODULE": f"theirs.{settings}",
        }
