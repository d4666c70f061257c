"""Retention policies, the scanner that finds what expired, and the cleaner that deletes it.

In flow order: `policies` say what expires (by words, or by `globs`), `scanner` lists what is there,
`expiry` picks what is too old (and a `spool` keeps it where there are millions), `cleaner` deletes
what a verified backup holds, file by file through `removal`, and `journal` records it; `rooted` is
how any of them opens a file, and `keeping` says which backups themselves may go.
"""
