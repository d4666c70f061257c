"""The engine, in flow order, driven by `tick`.

`adopt` keeps jobs in step with schedule rows, `plan` turns due ticks into runs and verdicts,
`resolve` makes waiting runs ready, `claim` gives them slots, `publish` sends their messages, the
worker executes them, and `recover` and `republish` mend what was killed on the way.
"""
