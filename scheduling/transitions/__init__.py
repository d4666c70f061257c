"""The only writers of a run's state.

Every function takes a batch, locks its rows in the order of their ids, keeps those whose state and
attempt are still what the caller believes, writes, and returns what it won. Losing is normal: it
means that somebody else was first. Lock order: office, job, runs by id, job status.

In the order of a run's life: `waiting` (opened, ready), `claiming` (a slot), `starting`,
`stopping` (cancelled, past the deadline), `finishing` (ended, lost, released; by `outcome`, and
told to the job by `job_status`), `unlocking` (those who waited for its end), `reopening` (an
operator's retry), `skipping` for what never starts, `handing_over` for what goes to workers that
know no ledger, `reporting` for what foreign ones tell of. `noting` says on queued runs why they do
not start, `noticing` once of a submission that something in it failed. `rows` is what they share;
`repairing` ends what cannot even be read.
"""

from scheduling.transitions.claiming import claim
from scheduling.transitions.finishing import end_stopping, finish, lose, release
from scheduling.transitions.handing_over import hand_over, mark_sent, unmark_sent
from scheduling.transitions.noting import (
    BEFORE_THE_START,
    NOT_PUBLISHED,
    NOT_SERVED,
    note_refused,
    note_unknown_task,
    note_unstarted,
)
from scheduling.transitions.reopening import Reopened, reopen
from scheduling.transitions.repairing import UNREADABLE, fail_unreadable
from scheduling.transitions.reporting import (
    NO_REPORT,
    end_reported,
    give_up_unreported,
    renew_lease,
)
from scheduling.transitions.skipping import skip
from scheduling.transitions.starting import (
    ANY,
    HARD_LIMIT_MARGIN,
    Terms,
    fail_unstarted,
    start,
    start_reported,
)
from scheduling.transitions.stopping import (
    cancel,
    extend_deadline,
    note_stop_delivered,
    time_out,
)
from scheduling.transitions.unlocking import DEPENDENCY, Unlocked, await_ends, unlock
from scheduling.transitions.waiting import make_ready, open_runs

__all__ = [
    "ANY",
    "BEFORE_THE_START",
    "DEPENDENCY",
    "HARD_LIMIT_MARGIN",
    "NOT_PUBLISHED",
    "NOT_SERVED",
    "NO_REPORT",
    "UNREADABLE",
    "Reopened",
    "Terms",
    "Unlocked",
    "await_ends",
    "cancel",
    "claim",
    "end_reported",
    "end_stopping",
    "extend_deadline",
    "fail_unreadable",
    "fail_unstarted",
    "finish",
    "give_up_unreported",
    "hand_over",
    "lose",
    "make_ready",
    "mark_sent",
    "note_refused",
    "note_stop_delivered",
    "note_unknown_task",
    "note_unstarted",
    "open_runs",
    "release",
    "renew_lease",
    "reopen",
    "skip",
    "start",
    "start_reported",
    "time_out",
    "unlock",
    "unmark_sent",
]
