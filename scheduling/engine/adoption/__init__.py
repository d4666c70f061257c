"""Adoption: jobs are kept in step with the rows of django-celery-beat, whoever writes those.

`adopt` drives it, a slice a turn: `changes` hears of what is saved, `scan` (by `fingerprints`)
finds what was changed without a word. `foreign_rows` makes jobs of rows that have none
(`job_fields`, `job_ids`, `routes`), `comparison` says what a row says otherwise than its job,
`edits` copies that down (`periodic_tasks` reads the rows), `orphans` closes what was deleted.
"""
