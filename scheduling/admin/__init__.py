"""The scheduler in Django's admin: jobs with their actions, and the ledger to read."""

from scheduling.admin import job, ledger, token

__all__ = ["job", "ledger", "token"]
