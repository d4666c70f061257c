"""Backups, their verification, and the maintenance that deletes only what is backed up.

In flow order: `roots` checks the two directories, `locks` keeps others out, `layout` names what
lies in a backup root. `backup` makes one backup: `live` reads the files into an `archive` (a `tar`,
compressed, maybe encrypted) or a `tree` (which links what `vouching` knows for unchanged), the
`manifest` lists them, `durable` makes it safe, `verify` reads it back by its `members`, `anomaly`
holds it against those before.

The two paths: `runner` deletes what expired of a dataset, `coordinator` what is too old of any
files. `snapshot` copies the whole dataset, `pruning` bounds those copies, `preview` says what would
go, `standing` is the job. With a backup: `restore` (into a `target`), `drill`, `copies` (to a
`remote` place and back), `rescan`, and `records`, which notes all of it.
"""
