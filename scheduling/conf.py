"""The app's settings: each by its name in Django's settings, else with the default given here.

A project that adds the app to its INSTALLED_APPS need not name any of them. Their meaning stands in
docs/configuration.md, and a test holds the defaults against those of the platform itself.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

from django.conf import settings

T = TypeVar("T")


class Setting(Generic[T]):
    """One setting, read anew at each use, as Django's own are."""

    def __init__(self, default: T) -> None:
        self.default = default

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: object, owner: type | None = None) -> T:
        return getattr(settings, self._name, self.default)


class SchedulingSettings:
    """What the app reads, and nothing else of it reads Django's settings for this."""

    SCHEDULER_SCOPE = Setting("real")
    SCHEDULER_TIMEZONE = Setting("UTC")
    SCHEDULER_TICK_SECONDS = Setting(1.0)
    OPS_LEDGER_DAYS = Setting(90)
    OPS_OFFICE_LEDGER_DAYS = Setting(30)
    OPS_TARGETS = Setting[Mapping[str, Any]]({})
    OPS_ADOPT_SCOPE = Setting("real")
    OPS_UNTRACKED_QUEUES = Setting[Sequence[str]](())
    OPS_WEBHOOK_HOSTS = Setting[Sequence[str]](())
    OPS_DEPLOYMENT = Setting("")
    OPS_STOP_SECONDS = Setting(0.0)
    OPS_REDACTION_PATTERNS = Setting[Sequence[str]](())
    OPS_REDACTION_PLACEHOLDER = Setting("[REDACTED]")
    OPS_REDACTION_KEEP_HASHES = Setting(False)


conf = SchedulingSettings()
