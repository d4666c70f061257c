"""The engine, in flow order, driven by `tick`.

`adoption` keeps jobs in step with the rows of django-celery-beat. `epochs` opens and closes the
times in which a job has one of the `schedules`. `plan` turns due ticks into runs (`new_run`) and
verdicts (`skipped`), unless there is a `hindrance`; `last_runs` notes them on the periodic tasks.
`pauses` ends those that are over, `startup` opens what runs once per deployment. `chains` are the
jobs whose next run is planned by the end of the last.

`resolve` makes waiting runs ready, `claim` gives the `candidates` slots, `publishing` sends their
messages. The worker executes them. `recover` takes up what was killed on the way, `worker_watch`
(by `liveness`) what a lost worker held; a step is left out where the `agenda` says that there is
nothing for it. What fails for many is done `one_by_one`, and what fails alone is set `aside`;
`coming_back` plans such jobs again once they are mended. `events` numbers what happened, and tells
webhooks of it. In spare time `pruning` turns old history into daily totals.
"""
