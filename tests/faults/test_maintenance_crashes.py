"""A maintenance run that dies at any point loses no byte, and the next one finishes the work.

Each trial is forked from the loaded test process. An audit hook counts what the child asks of the
file system and of the database, and ends it with `os._exit` before the n-th; syncs, which have no
audit event, are counted as well. A kill tests the order of steps, so that order is read off too.
"""

import hashlib
import os
import sys
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connections

from maintenance.layout import MANIFEST_NAME, backup_names
from maintenance.roots import Roots
from maintenance.runner import run_maintenance_automation
from maintenance.snapshot import back_up_dataset
from maintenance.verify import verify_backup
from retention.files import printable
from retention.models import Deletion
from retention.policies import DataRetentionPolicy
from retention.removal import ASIDE

pytestmark = pytest.mark.django_db(transaction=True)
KILLED = 9
COUNTED = ("open", "os.", "shutil.", "fcntl.", "sqlite3.")
ENOUGH_POINTS = 60


@pytest.fixture
def roots(tmp_path: Path) -> Roots:
    return Roots(dataset=tmp_path / "data", backup=tmp_path / "backups")


def _fill(roots: Roots) -> dict[str, str]:
    """Make an old dataset anew and return the hash of every file."""
    hashes = {}
    for number in range(4):
        file = roots.dataset / "raw" / str(number % 2) / os.fsdecode(b"%d\n\xff" % number)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(os.urandom(2_000))
        old = (datetime.now(UTC) - timedelta(days=8)).timestamp()
        os.utime(file, (old, old))
        hashes[str(file.relative_to(roots.dataset))] = _sha256(file)
    return hashes


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _held(roots: Roots) -> set[tuple[str, str]]:
    """Return path and hash of every file that is live or in a backup that verifies now."""
    held = {
        (str(file.relative_to(roots.dataset)), _sha256(file))
        for file in roots.dataset.rglob("*")
        if file.is_file()
    }
    for name in backup_names(roots.backup) if roots.backup.exists() else ():
        manifest = verify_backup(roots.backup / name / MANIFEST_NAME)
        held |= {(file.path, file.sha256) for file in manifest.files()}
    return held


def _maintain(roots: Roots) -> str:
    return run_maintenance_automation(roots.dataset, roots.backup, DataRetentionPolicy())["status"]


def _exit_code_when_killed(work: Callable[[], object], *, point: int) -> int:
    """Fork, run `work` in the child until its `point`-th step, and return how it ended."""
    connections.close_all()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # fork with threads; ours only waits
        child = os.fork()
    if child == 0:
        try:
            _arm(lambda step, _event, _arguments: os._exit(KILLED) if step == point else None)
            work()
        finally:
            os._exit(0 if sys.exc_info()[0] is None else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _arm(act: Callable[[int, str, tuple[object, ...]], None]) -> None:
    """Call `act` with a running number before each step from now on, in this process for good."""
    step = 0

    def count(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal step
        if event.startswith(COUNTED):
            step += 1
            act(step, event, arguments)

    real_sync = os.fsync

    def counted_sync(fd: Any) -> None:
        count("os.fsync", (Path(f"/proc/self/fd/{fd}").readlink(),))
        real_sync(fd)

    os.fsync = counted_sync
    sys.addaudithook(count)


def test_a_run_killed_at_any_point_loses_nothing_and_the_next_one_finishes(roots: Roots) -> None:
    for point in range(1, 5_000):
        original = _fill(roots)

        code = _exit_code_when_killed(lambda: _maintain(roots), point=point)

        assert code in {0, KILLED}, f"point {point}"
        assert set(original.items()) <= _held(roots), f"point {point}"
        assert _maintain(roots) in {"completed", "nothing_to_do"}, f"point {point}"
        assert not [file for file in roots.dataset.rglob("*") if file.is_file()]
        assert set(original.items()) <= _held(roots), f"point {point}"
        assert not list(roots.backup.glob(".partial-*"))
        _start_over(roots)
        if code == 0:
            break
    assert point > ENOUGH_POINTS


def _start_over(roots: Roots) -> None:
    for name in list(backup_names(roots.backup)):
        for file in (roots.backup / name).iterdir():
            file.unlink()
        (roots.backup / name).rmdir()


def test_a_snapshot_killed_at_any_point_is_whole_or_absent(roots: Roots) -> None:
    _fill(roots)
    roots.backup.mkdir()
    for point in range(1, 5_000):
        code = _exit_code_when_killed(
            lambda: back_up_dataset(roots, now=datetime.now(UTC)), point=point
        )

        assert code in {0, KILLED}, f"point {point}"
        assert len(_held(roots)) == 4, f"point {point}"  # every whole one verifies
        _start_over(roots)
        if code == 0:
            break
    assert point > ENOUGH_POINTS / 2


def test_a_deletion_that_a_crash_left_open_is_concluded_by_the_next_run(roots: Roots) -> None:
    original = _fill(roots)
    gone, present = sorted(original)[:2]
    status = (roots.dataset / present).stat()
    for path in (gone, present):
        Deletion.objects.create(
            root=str(roots.dataset),
            path=path.encode("utf-8", "backslashreplace").decode(),
            size_bytes=status.st_size,
            sha256="0" * 64,
            fingerprint=f"{status.st_size}:{status.st_mtime_ns}:{status.st_ino}",
            reason="expired",
            planned_at=datetime.now(UTC),
        )
    (roots.dataset / gone).unlink()
    earlier = list(Deletion.objects.order_by("pk"))

    _maintain(roots)

    earlier[0].refresh_from_db()
    assert earlier[0].deleted_at is not None
    assert not Deletion.objects.filter(pk=earlier[1].pk).exists()  # withdrawn: it was still there
    assert Deletion.objects.filter(deleted_at=None).count() == 0


@pytest.mark.parametrize("half_back", [True, False])
def test_a_file_that_a_crash_left_set_aside_gets_its_name_back(
    roots: Roots, *, half_back: bool
) -> None:
    file = roots.dataset / "raw" / os.fsdecode(b"a\n\xff")
    file.parent.mkdir(parents=True)
    file.write_bytes(b"took the place of what was backed up")
    aside = file.with_name(ASIDE + hashlib.sha256(os.fsencode(file.name)).hexdigest()[:16])
    (aside.hardlink_to if half_back else file.rename)(file if half_back else aside)
    Deletion.objects.create(
        root=str(roots.dataset),
        path=printable(f"raw/{file.name}"),
        size_bytes=1,
        sha256="0" * 64,
        fingerprint="1:1:1",
        reason="expired",
        planned_at=datetime.now(UTC),
    )

    assert _maintain(roots) == "nothing_to_do"

    assert list(file.parent.iterdir()) == [file]
    assert file.read_bytes() == b"took the place of what was backed up"


def test_everything_is_synced_before_anything_is_unlinked(roots: Roots, tmp_path: Path) -> None:
    _fill(roots)
    trace = tmp_path / "trace"
    handle = os.open(trace, os.O_WRONLY | os.O_CREAT)

    def note(_step: int, event: str, arguments: tuple[object, ...]) -> None:
        if event in {"os.fsync", "os.rename", "os.remove"}:
            os.write(handle, f"{event} {Path(str(arguments[0])).name}\0".encode(errors="replace"))

    connections.close_all()
    child = os.fork()
    if child == 0:
        _arm(note)
        _maintain(roots)
        os._exit(0)
    os.waitpid(child, 0)
    os.close(handle)

    (name,) = backup_names(roots.backup)
    steps = trace.read_text().split("\0")
    ordered = [
        f"os.fsync {name}.tar.zst",
        f"os.fsync .partial-{name}",
        "os.fsync backups",
        "os.fsync manifest.jsonl",
        f"os.fsync .partial-{name}",
        f"os.rename .partial-{name}",
        "os.fsync backups",
    ]
    start = steps.index(ordered[0])
    assert steps[start : start + len(ordered)] == ordered
    deleting = ("os.rename", "os.remove .retention-")
    assert all(step.startswith(deleting) for step in steps[start + len(ordered) : -1])
    assert sum(step.startswith("os.remove") for step in steps) == 4
