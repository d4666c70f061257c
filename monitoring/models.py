"""What monitoring remembers: samples of probes, and the snapshot that the status page shows."""

from django.db import models


class ProbeSample(models.Model):
    """One measurement of one probe."""

    scope = models.SlugField(max_length=32)
    probe = models.CharField(max_length=60)
    at = models.DateTimeField()
    ok = models.BooleanField()
    latency_seconds = models.FloatField(null=True, help_text="Empty: nothing came back.")
    detail = models.TextField(blank=True, help_text="Redacted.")

    class Meta:
        indexes = [models.Index(fields=["scope", "probe", "-at"], name="probe_sample_by_time")]

    def __str__(self) -> str:
        return f"{self.probe} {'ok' if self.ok else 'failed'} at {self.at:%Y-%m-%d %H:%M:%S}"


class DashboardSnapshot(models.Model):
    """The newest figures of one scope; its shape is told by `monitoring.dashboard`."""

    scope = models.SlugField(max_length=32, unique=True)
    computed_at = models.DateTimeField()
    data = models.JSONField()

    def __str__(self) -> str:
        return f"{self.scope} as of {self.computed_at:%Y-%m-%d %H:%M:%S}"
