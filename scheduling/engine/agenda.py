"""What there is to do at all, asked in one question: a turn leaves out what nobody needs.

A beat turns every second, whatever there is to do; a question for each step would be most of what
it costs. Whatever may be due is named: a step that then finds nothing costs no more than before.
"""

from datetime import datetime
from enum import StrEnum

from django.db import connection

from scheduling.states import OPEN, RunState


class Occasion(StrEnum):
    """What calls for a step of a turn, besides open runs in some state."""

    PAUSE_OVER = "pause_over"
    JOB_DUE = "job_due"
    SUBMISSION_UNBUILT = "submission_unbuilt"
    EVENT_UNNUMBERED = "event_unnumbered"


Agenda = frozenset[RunState | Occasion]

OCCASIONS = {occasion.value: occasion for occasion in (*OPEN, *Occasion)}
EVERYTHING: Agenda = frozenset(OCCASIONS.values())
STATES = [state.value for state in OPEN]
# One look into an index for each, whatever number of rows is there.
SQL = f"""
WITH known(state) AS (VALUES {", ".join(["(%s)"] * len(STATES))})
SELECT '{Occasion.PAUSE_OVER}' WHERE EXISTS (
    SELECT 1 FROM scheduling_pause WHERE ended_at IS NULL AND until_at <= %s
) UNION ALL
SELECT '{Occasion.JOB_DUE}' WHERE EXISTS (
    SELECT 1 FROM scheduling_job
    WHERE scope = %s AND next_due_at <= %s AND enabled AND deleted_at IS NULL
) UNION ALL
SELECT '{Occasion.SUBMISSION_UNBUILT}' WHERE EXISTS (
    SELECT 1 FROM scheduling_submission WHERE built_at IS NULL
) UNION ALL
SELECT '{Occasion.EVENT_UNNUMBERED}' WHERE EXISTS (
    SELECT 1 FROM scheduling_runevent WHERE seq IS NULL
) UNION ALL
SELECT state FROM known WHERE EXISTS (
    SELECT 1 FROM scheduling_run
    WHERE scheduling_run.finished_at IS NULL AND scheduling_run.state = known.state
)
"""  # noqa: S608 only placeholders and our own words are put in


def agenda(scope: str, *, now: datetime) -> Agenda:
    """Return what this scope's beat may have to do; what is not there, it has not.

    Only jobs are asked for by scope: the others are few, and a step in vain is harmless.
    """
    instant = connection.ops.adapt_datetimefield_value(now)
    with connection.cursor() as cursor:
        cursor.execute(SQL, [*STATES, instant, scope, instant])
        return frozenset(OCCASIONS[name] for (name,) in cursor.fetchall())
