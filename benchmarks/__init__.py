"""Measures the platform beside its peers, on this machine, in one run; see README.md.

`__main__` is the command, each line of the table a module under `lines`, which drives real servers
and real processes through a `rig`: `steps` are what a process of its own does on our database,
`apps` the Celery and Procrastinate applications whose workers are measured.
"""
