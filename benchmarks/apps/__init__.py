"""The applications whose workers are measured: ours and the peers', with the same no-op task."""

NOOP = "bench.noop"
SHORT_NOOP = "bench.short_noop"  # declares that a message may stand for many of its runs
MARK = "bench.mark"
STAMP = "bench.stamp"
OUR_QUEUE = "real.jobs.noop"
