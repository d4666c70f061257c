"""The ledger's tables: one concept a file."""

from scheduling.models.attempt import Attempt
from scheduling.models.audit import AuditEntry
from scheduling.models.dependency import RunDependency
from scheduling.models.event import RunEvent
from scheduling.models.job import Job, JobStatus
from scheduling.models.notice import Notice
from scheduling.models.office import Office, OfficeTask, RoleLimit, Submission
from scheduling.models.pause import Pause
from scheduling.models.run import Run
from scheduling.models.schedule import LedgerTotal, ScheduleEpoch, SkippedTicks
from scheduling.models.tally import EventCursor, OfficeTally
from scheduling.models.token import ApiToken
from scheduling.models.webhook import Webhook, WebhookDelivery
from scheduling.models.worker import WorkerProcess

__all__ = [
    "ApiToken",
    "Attempt",
    "AuditEntry",
    "EventCursor",
    "Job",
    "JobStatus",
    "LedgerTotal",
    "Notice",
    "Office",
    "OfficeTally",
    "OfficeTask",
    "Pause",
    "RoleLimit",
    "Run",
    "RunDependency",
    "RunEvent",
    "ScheduleEpoch",
    "SkippedTicks",
    "Submission",
    "Webhook",
    "WebhookDelivery",
    "WorkerProcess",
]
