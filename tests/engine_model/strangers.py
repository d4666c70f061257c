"""What others do in django-celery-beat's own tables: they make, edit and delete periodic tasks."""

from contextlib import suppress
from datetime import timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django_celery_beat.models import PeriodicTask
from hypothesis import strategies as st
from hypothesis.stateful import rule

from scheduling.engine.schedules import row_fields
from tests.engine_model.schedules import KNOWN, SCHEDULES, durations
from tests.engine_model.world import WHICH, World, pick

NAMES = ("a", "b")  # of those that they make; one that was deleted may be made again
EDITS = st.one_of(
    SCHEDULES.map(lambda name: {"schedule": name}),
    st.booleans().map(lambda enabled: {"enabled": enabled}),
    st.booleans().map(lambda once: {"one_off": once}),
    (st.none() | durations(60, 600)).map(lambda after: {"start_time": after}),
    (st.none() | durations(60, 600)).map(lambda after: {"expires": after}),
)


class Strangers(World):
    """Rules of those who know nothing of us."""

    @rule(name=st.sampled_from(NAMES), schedule=SCHEDULES)
    def a_stranger_makes_or_deletes_a_row(self, name: str, schedule: str) -> None:
        """A beat adopts it; a job whose row is gone stays, with its history."""
        gone, _ = PeriodicTask.objects.filter(name=name).delete()
        if not gone:
            PeriodicTask.objects.create(name=name, task="t", **self._fields(schedule=schedule))

    @rule(which=WHICH, edit=EDITS, quietly=st.booleans())
    def a_stranger_edits_a_row(self, which: int, edit: dict[str, Any], *, quietly: bool) -> None:
        """By `save()`, or by `QuerySet.update`, which tells nobody."""
        row = pick(PeriodicTask.objects.order_by("id"), which)
        if row is None:
            return
        fields = self._fields(**edit)
        if quietly:
            PeriodicTask.objects.filter(pk=row.pk).update(**fields)
            return
        for name, value in fields.items():
            setattr(row, name, value)
        with suppress(ValidationError):  # as its form would say
            row.save()

    def _fields(self, **edit: Any) -> dict[str, Any]:
        """Return what an edit means now."""
        if name := edit.get("schedule"):
            recurrence = KNOWN[name](self.now)
            return {"one_off": recurrence.kind == "clocked", **row_fields(recurrence)}
        return {
            name: self.now + value if isinstance(value, timedelta) else value
            for name, value in edit.items()
        }
