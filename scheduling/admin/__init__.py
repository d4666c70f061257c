"""The scheduler in Django's admin: jobs and runs with their actions, and the ledger to read."""

import django_stubs_ext

django_stubs_ext.monkeypatch()  # in any project: our classes name their model's type

from scheduling.admin import job, ledger, run, token  # noqa: E402 it has to be there for them

__all__ = ["job", "ledger", "run", "token"]
