"""The audit trail: what operators did, through which door."""

from django.db import models


class AuditEntry(models.Model):
    """One operator action with what it changed (SPEC C6)."""

    at = models.DateTimeField()
    actor = models.CharField(max_length=200)
    door = models.CharField(max_length=20, help_text="admin, api, chat, command …")
    action = models.CharField(max_length=60)
    target = models.CharField(max_length=300)
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)

    class Meta:
        verbose_name_plural = "audit entries"
        indexes = [models.Index(fields=["-at"], name="audit_by_time")]

    def __str__(self) -> str:
        return f"{self.actor} {self.action} {self.target}"
