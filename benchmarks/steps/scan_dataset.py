"""Scans a directory and puts each file into its category, as every maintenance run does."""

import resource
import time
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.steps.back_up import KIB, MEGABYTE
from retention.expiry import find_expired
from retention.policies import DataRetentionPolicy
from retention.scanner import DatasetScanner


def run(dataset: str) -> dict[str, float]:
    """Return the seconds, the files that were seen, and the memory in MB."""
    began = time.monotonic()
    policy = DataRetentionPolicy(raw_snapshot_days=365)
    found = find_expired(DatasetScanner(Path(dataset)), policy, now=datetime.now(UTC))
    took = time.monotonic() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIB / MEGABYTE
    return {"seconds": took, "files": found.scanned_files, "megabytes": peak}
