"""The scheduler in the admin: jobs, runs and offices with their actions, the ledger to read."""

import django_stubs_ext

django_stubs_ext.monkeypatch()  # in any project: our classes name their model's type

from scheduling.admin import (  # noqa: E402 it has to be there for them
    job,
    ledger,
    notice,
    office,
    run,
    token,
    webhook,
)

__all__ = ["job", "ledger", "notice", "office", "run", "token", "webhook"]
