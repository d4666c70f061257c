"""The engine, in flow order, driven by `tick`.

`adopt` and `edits` keep jobs in step with schedule rows, `plan` turns due ticks into runs
(`new_run`) and verdicts, `resolve` makes waiting runs ready, `claim` gives them slots, `publish`
sends their messages, the worker executes them, and `recover` (by `liveness`) and `republish` mend
what was killed on the way.
"""
