"""Backups, their verification, and the maintenance that deletes only what is backed up.

In flow order: `roots` checks the two directories, `locks` keeps others out, `layout` names what
lies in a backup root, `archive` and `manifest` are written through `streams` and made safe by
`durable`, `verify` reads them back, `backup` is the whole of that. `runner` deletes what expired,
`snapshot` copies the whole dataset, `pruning` bounds those copies, `standing` is the job.
"""
