"""The applications whose workers are measured: ours and the peers', with the same no-op task."""

NOOP = "bench.noop"
MARK = "bench.mark"
STAMP = "bench.stamp"
OUR_QUEUE = "real.jobs.noop"
