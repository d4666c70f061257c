"""The scheduler in Django's admin: jobs and runs with their actions, and the ledger to read."""

from scheduling.admin import job, ledger, run, token

__all__ = ["job", "ledger", "run", "token"]
