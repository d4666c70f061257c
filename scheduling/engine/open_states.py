"""Which states open runs are in at all: what nobody is in needs no looking after."""

from django.db import connection

from scheduling.states import OPEN, RunState

STATES = [state.value for state in OPEN]
# One look into an index for each state, whatever number of runs is in it.
SQL = f"""
WITH known(state) AS (VALUES {", ".join(["(%s)"] * len(STATES))})
SELECT state FROM known WHERE EXISTS (
    SELECT 1 FROM scheduling_run
    WHERE scheduling_run.finished_at IS NULL AND scheduling_run.state = known.state
)
"""  # noqa: S608 only placeholders are put in


def states_of_open_runs() -> set[RunState]:
    """Return the states, of any scope, that at least one open run is in."""
    with connection.cursor() as cursor:
        cursor.execute(SQL, STATES)
        return {RunState(state) for (state,) in cursor.fetchall()}
