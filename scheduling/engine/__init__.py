"""The engine, in flow order, driven by `tick`.

`adopt` keeps jobs in step with the rows of django-celery-beat: `changes` hears of what is saved,
`scan` (by `fingerprints`) finds what was changed without a word, `foreign_rows` makes jobs,
`comparison` and `edits` copy edits down, `orphans` closes what was deleted. `plan` turns due ticks
into runs (`new_run`) and verdicts, `resolve` makes waiting runs ready, `claim` gives them slots,
`publish` sends their messages (`message`, by `delivery`; `confirms` on RabbitMQ), or hands them
over (`hand_over`) where only plain Celery workers serve (`serving`). The worker executes them, and
`recover` (by `liveness`) and `republish` mend what was killed on the way. `startup` opens what runs
once per deployment. In spare time `cleaner` looks for `old_history`, which
`prune` turns into daily totals (`fold`).
"""
