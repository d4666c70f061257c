"""`manage.py chaos`: a busy cluster whose processes are killed at random, and then the truth of it.

The flow: `plan` is what the operator asked for, `apart` moves to a world of its own (a temporary
directory, its own settings and servers), `conduct` leads through the rest. `cluster` holds the
broker, the database and the `members` (beats and workers); `workload` is what they have to do, with
the tasks of `app`; `meddling` is an operator who never leaves them alone; `killer` kills, freezes
and starts again; `watching` looks at the slots all the while; `rest` lets everything settle.

Each execution of a task writes down its own start and end, see `notes`. `reading` puts these notes
and the ledger together as a `history`, a plain value, which `checker` judges without a database,
the way Jepsen does. `report` is what the operator sees.
"""
