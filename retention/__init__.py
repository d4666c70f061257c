"""Retention policies, the scanner that finds what expired, and the cleaner that deletes it.

In flow order: `policies` say what expires, `scanner` lists what is there, `cleaner` deletes what a
verified backup holds, file by file through `removal`, and `journal` records it; `rooted` is how any
of them opens a file, and `keeping` says which backups themselves may go.
"""
