"""The engine, in flow order, driven by `tick`.

Adopting keeps jobs in step with the rows of django-celery-beat (`adopt`): `changes` hears of what
is saved, `scan` (by `fingerprints`) finds what was changed without a word, `foreign_rows` makes
jobs (`job_fields`, `job_ids`), `comparison` and `edits` copy edits down (`periodic_tasks`,
`schedules`), `orphans` closes what was deleted. `epochs` opens and closes the times of a schedule.

Planning: `plan` turns due ticks into runs (`new_run`) and verdicts (`skipped`), `pauses` ends the
pauses that are over, `startup` opens what runs once per deployment.

Chains, the jobs in queue mode (`modes`): `chain` plans the next of their `links` by
`chain_schedule`, `due_links` starts those that wait in the database unless there is a `hindrance`,
`delay_queue` and `arrivals` do it by way of RabbitMQ.

Starting: `resolve` makes waiting runs ready, `claim` gives the `candidates` slots, `publish` sends
their messages (`message`, of `batch`, by `delivery`; `confirms` on RabbitMQ), or hands them over
(`hand_over`) where only plain Celery workers serve (`serving`). The worker executes them.

Mending: `recover` (by `liveness`) and `republish` take up what was killed on the way; a step is
left out where `open_states` says that there is nothing for it. `sequence` numbers events.

Pruning: in spare time `cleaner` looks for `old_history`, which `prune` turns into daily totals
(`fold`).
"""
