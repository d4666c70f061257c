"""No system call of a maintenance run is a bad moment to die, or to find the disk full (SPEC E5).

Here a sample of them; `python -m tests.faults.crash_points --path … --fault …` tries them all.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import CHECKOUT
from tests.faults.crash_points import FILES
from tests.faults.traced import IS_SUPPORTED

pytestmark = pytest.mark.skipif(not IS_SUPPORTED, reason="needs ptrace of x86-64 Linux")
ENOUGH_POINTS = 300


def crash_points(*arguments: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.crash_points", *arguments],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("path", ["dataset", "files"])
def test_a_run_killed_at_any_call_loses_nothing_and_the_next_one_completes(path: str) -> None:
    found = crash_points("--path", path, "--fault", "kill", "--sample", "40")
    assert found["calls"] >= ENOUGH_POINTS
    assert (found["tried"], found["failed"]) == (40, {})


@pytest.mark.parametrize("path", ["dataset", "files", "snapshot"])
def test_a_disk_that_is_full_at_any_call_loses_nothing(path: str) -> None:
    found = crash_points("--path", path, "--fault", "enospc", "--sample", "8")
    assert (found["tried"], found["failed"]) == (8, {})


def test_a_snapshot_killed_at_any_call_is_whole_or_absent() -> None:
    found = crash_points("--path", "snapshot", "--fault", "kill", "--sample", "10")
    assert (found["tried"], found["failed"]) == (10, {})


@pytest.mark.skipif(os.geteuid() != 0, reason="needs the right to mount a tmpfs")
@pytest.mark.parametrize("path", ["dataset", "files"])
def test_a_file_system_of_any_size_loses_nothing(path: str) -> None:
    found = crash_points("--path", path, "--fault", "tmpfs", "--sample", "5")
    assert (found["tried"], found["failed"]) == (5, {})
    assert found["full"] > 0


@pytest.mark.parametrize("path", ["dataset", "files"])
def test_what_is_deleted_is_on_the_disk_before(path: str) -> None:
    """A kill does not tell what a power cut would: the order of the calls does."""
    calls = [tuple(call) for call in crash_points("--path", path, "--calls")]
    [renamed] = [n for n, (name, old, _) in enumerate(calls) if _publishes(name, old)]
    _, partial, whole = calls[renamed]
    backups = str(Path(whole).parent)

    def last(*wanted: str) -> int:
        return max(n for n, call in enumerate(calls[:renamed]) if call[: len(wanted)] == wanted)

    manifest = last("fsync", f"{partial}/manifest.jsonl")
    data = {old for name, old, _ in calls if name == "write" and _is_data(old, partial)}
    made = {
        to or old
        for name, old, to in calls[:renamed]
        if name in {"openat", "linkat", "mkdirat"} and (to or old).startswith(f"{partial}/")
    }
    for file in data:
        assert last("write", file) < last("fsync", file) < manifest
    for entry in made - {f"{partial}/manifest.jsonl"}:
        created = max(n for n, (_, old, to) in enumerate(calls[:renamed]) if (to or old) == entry)
        directory = str(Path(entry).parent)
        synced = [n for n, call in enumerate(calls) if call[:2] == ("fsync", directory)]
        assert any(created < n < manifest for n in synced), entry
        if directory in made:
            assert min(n for n in synced if n > created) < last(
                "fsync", str(Path(directory).parent)
            )
    assert any(call[:2] == ("fsync", backups) for call in calls[:manifest])
    assert manifest < last("fsync", partial) < renamed
    assert calls[renamed + 1][:2] == ("fsync", backups)
    deleting = [
        n for n, (name, old, _) in enumerate(calls) if name == "unlinkat" and "/data/" in old
    ]
    assert len(deleting) == FILES
    assert min(deleting) > renamed + 1


def _publishes(name: str, old: str) -> bool:
    return name == "rename" and "/.partial-" in old


def _is_data(path: str, partial: str) -> bool:
    return path.startswith(f"{partial}/") and not path.endswith("manifest.jsonl")
