"""Which run waits for which."""

from django.db import models

from scheduling.models.run import Run


class RunDependency(models.Model):
    """`run` does not start before `depends_on` is done. `Run.unmet` counts those without `met_at`.

    Both fall together and only in `scheduling.transitions`, so that a run is freed once.
    """

    run = models.ForeignKey(
        Run, on_delete=models.CASCADE, related_name="dependencies", db_index=False
    )
    depends_on = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="dependents")
    met_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "run dependencies"
        constraints = [
            models.UniqueConstraint(fields=["run", "depends_on"], name="dependency_once"),
            models.CheckConstraint(
                condition=~models.Q(run=models.F("depends_on")), name="dependency_not_on_itself"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.run_id} waits for {self.depends_on_id}"
