"""Which states open runs are in at all: what nobody is in needs no looking after."""

from django.db import connection

from scheduling.states import OPEN, RunState

STATES = [state.value for state in OPEN]
# One look into an index for each state, whatever number of runs is in it.
SQL = """
WITH known(state) AS (VALUES (%s), (%s), (%s), (%s), (%s))
SELECT state FROM known WHERE EXISTS (
    SELECT 1 FROM scheduling_run
    WHERE scheduling_run.finished_at IS NULL AND scheduling_run.state = known.state
)
"""


def states_of_open_runs() -> set[RunState]:
    """Return the states, of any scope, that at least one open run is in."""
    with connection.cursor() as cursor:
        cursor.execute(SQL, STATES)
        return {RunState(state) for (state,) in cursor.fetchall()}
