"""What every commit waits for: a small write that the disk says it has kept."""

import os
import tempfile
import time
from statistics import quantiles

WRITES = 400
PAGE = b"\x5a" * 8192
PREPARED = 64  # pages that are there already: what is timed changes no size
REST_SECONDS = 0.05


def slowest_percent_of_writes() -> float:
    """Return the 99th percentile of `fdatasync` behind 8 KiB, in milliseconds, some 20 s long."""
    milliseconds = []
    with tempfile.TemporaryFile(prefix="bench-") as file:
        file.write(PAGE * PREPARED)
        file.flush()
        os.fsync(file.fileno())
        for number in range(WRITES):
            time.sleep(REST_SECONDS)
            os.pwrite(file.fileno(), PAGE, len(PAGE) * (number % PREPARED))
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            milliseconds.append((time.perf_counter() - began) * 1000)
    return quantiles(milliseconds, n=100)[98]
