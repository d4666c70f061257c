"""Kills a maintenance run at every system call that changes a file, and looks at what is left.

    python -m tests.faults.crash_points --path dataset|files|snapshot [--fault kill|enospc|tmpfs]

After each trial every original byte is live or in a backup that verifies, and a second run
completes. All trials are forked from this one loaded process, each with its own copy of data and
database. `--fault enospc` lets each call fail for a full disk instead; `--fault tmpfs` gives the
backups a real file system of each of so many sizes (which needs the right to mount).
`--sample N` tries only so many of the points, drawn at random, or of the sizes, spread evenly.
"""

import argparse
import errno
import hashlib
import importlib
import json
import logging
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import django
from django.core.management import call_command
from django.db import connections

from tests.faults.traced import Call, Dies, Fails, run_traced

FILES = 120
OLD = timedelta(days=8)
SIZES_KIB = range(4, 804, 4)  # by pages


def main() -> int:
    """Run the trials; print what was found as JSON; 1 if anything was lost or did not complete."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--path", choices=["dataset", "files", "snapshot"], required=True)
    parser.add_argument("--fault", choices=["kill", "enospc", "tmpfs"], default="kill")
    parser.add_argument("--calls", action="store_true", help="only list the calls")
    parser.add_argument("--sample", type=int, help="only so many points, drawn at random")
    parser.add_argument("--seed", type=int, default=random.randrange(10**9))  # noqa: S311 a sample
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="crash-points-") as directory:
        trials = Trials(Path(directory), options.path)
        trials.prepare()
        if options.calls:
            calls = [[call.name, call.path, call.to] for call in trials.calls()]
            sys.stdout.write(json.dumps(calls) + "\n")
            return 0
        found = trials.of_sizes(options) if options.fault == "tmpfs" else trials.of_calls(options)
    sys.stdout.write(json.dumps(found, indent=2) + "\n")
    return 1 if found["failed"] else 0


class Trials:
    """Data, database and backups of one trial after the other, made anew each time."""

    def __init__(self, directory: Path, path: str) -> None:
        self._path = path
        self._place, self._database = directory / "trial", directory / "migrated.sqlite3"
        self._now = datetime.now(UTC)
        self._original: dict[str, str] = {}
        self._contents = [os.urandom(3_000) for _ in range(FILES)]

    @property
    def dataset(self) -> Path:
        return self._place / "data"

    @property
    def backups(self) -> Path:
        return self._place / "backups"

    def prepare(self) -> None:
        """Make the database once."""
        self._place.mkdir()
        _set_up_django(self._place)
        if _in_child(_migrate) != 0:
            raise SystemExit("the database could not be made")
        shutil.copy(self._place / "db.sqlite3", self._database)

    def of_calls(self, options: argparse.Namespace) -> dict[str, Any]:
        """Let a fault happen at each call, or at a sample of them."""
        calls = self.calls()
        points = _sample(range(1, len(calls) + 1), options)
        fault = Dies() if options.fault == "kill" else Fails(errno.ENOSPC)
        failed: dict[str, str] = {}
        for point in points:
            self._start_over()
            run_traced(self._maintain, partial(_at, point, fault))
            if problem := self._problem():
                failed[f"{point}: {calls[point - 1]}"] = problem
        counted = {"calls": len(calls), "tried": len(points), "seed": options.seed}
        return {"path": self._path, "fault": options.fault, **counted, "failed": failed}

    def of_sizes(self, options: argparse.Namespace) -> dict[str, Any]:
        """Give the backups a file system of each size, from too small for anything to enough."""
        failed: dict[str, str] = {}
        full = 0
        sizes = SIZES_KIB[:: len(SIZES_KIB) // (options.sample or len(SIZES_KIB))]
        for size in sizes:
            self._start_over(first_tree=False)
            with _small_disk(self.backups, kib=size):
                full += _in_child(self._maintain) != 0
                problem = self._lost()
                subprocess.run(["mount", "-o", "remount,size=64m", self.backups], check=True)
                problem = problem or self._problem()
            if problem:
                failed[f"{size} KiB"] = problem
        counted = {"tried": len(sizes), "full": full}
        return {"path": self._path, "fault": "tmpfs", **counted, "failed": failed}

    def calls(self) -> list[Call]:
        """Return the calls of a run to which nothing happens."""
        self._start_over()
        calls: list[Call] = []
        if run_traced(self._maintain, calls.append) != 0:
            raise SystemExit("a run without a fault did not complete")
        return calls

    def _start_over(self, *, first_tree: bool = True) -> None:
        shutil.rmtree(self._place)
        self.backups.mkdir(parents=True)
        shutil.copy(self._database, self._place / "db.sqlite3")
        old = (self._now - OLD).timestamp()
        for number, content in enumerate(self._contents):
            file = self.dataset / "raw" / f"{number % 3}" / os.fsdecode(b"%d\n\xff" % number)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
            os.utime(file, (old, old))
        self._original = dict(self._live())
        if self._path == "files" and first_tree and _in_child(self._make_first_tree) != 0:
            raise SystemExit("the first tree could not be made")

    def _problem(self) -> str:
        """Return what is wrong now, or after a second run; '' if nothing is."""
        if lost := self._lost():
            return lost
        if _in_child(self._maintain) != 0:
            return "a second run did not complete"
        if lost := self._lost():
            return f"after a second run: {lost}"
        if self._path != "snapshot" and (left := list(self._live())):
            return f"a second run left {len(left)} files"
        if partial := [entry.name for entry in self.backups.glob(".partial-*")]:
            return f"a second run left {partial}"
        return ""

    def _lost(self) -> str:
        missing = set(self._original.items()) - set(self._live()) - set(self._backed_up())
        return f"{len(missing)} files are lost" if missing else ""

    def _live(self) -> Iterator[tuple[str, str]]:
        for file in self.dataset.rglob("*"):
            if file.is_file():
                digest = hashlib.sha256(file.read_bytes()).hexdigest()
                yield str(file.relative_to(self.dataset)), digest

    def _backed_up(self) -> Iterator[tuple[str, str]]:
        from maintenance.layout import MANIFEST_NAME, backup_names  # noqa: PLC0415 behind django.setup
        from maintenance.verify import verify_backup  # noqa: PLC0415

        for name in backup_names(self.backups):
            manifest = verify_backup(self.backups / name / MANIFEST_NAME)
            yield from ((file.path, file.sha256) for file in manifest.files())

    def _maintain(self) -> None:
        """Run the path; exit with 1 where it failed."""
        from maintenance.coordinator import run_maintenance  # noqa: PLC0415
        from maintenance.roots import Roots  # noqa: PLC0415
        from maintenance.runner import run_maintenance_automation  # noqa: PLC0415
        from maintenance.snapshot import back_up_dataset  # noqa: PLC0415
        from retention.policies import DataRetentionPolicy, FileRetentionPolicy  # noqa: PLC0415

        if self._path == "snapshot":
            back_up_dataset(Roots(dataset=self.dataset, backup=self.backups), now=self._now)
            return
        if self._path == "files":
            policy = FileRetentionPolicy()
            failure = run_maintenance(self.dataset, self.backups, policy, now=self._now).failure
        else:
            result = run_maintenance_automation(
                self.dataset, self.backups, DataRetentionPolicy(), now=self._now
            )
            failure = result.get("error", "")
        if failure:
            raise SystemExit(1)

    def _make_first_tree(self) -> None:
        """Copy two thirds of the files, so that the run links some and copies some."""
        from maintenance.coordinator import run_maintenance  # noqa: PLC0415
        from retention.policies import FileRetentionPolicy  # noqa: PLC0415

        never = FileRetentionPolicy(ttl_days=None)
        earlier = self._now - timedelta(hours=1)
        globs = ["raw/0/*", "raw/1/*"]
        if run_maintenance(self.dataset, self.backups, never, globs, now=earlier).failure:
            raise SystemExit(1)


def _at(point: int, fault: Dies | Fails, call: Call) -> Dies | Fails | None:
    return fault if call.number == point else None


def _sample(points: Sequence[int], options: argparse.Namespace) -> Sequence[int]:
    if options.sample is None or options.sample >= len(points):
        return points
    return sorted(random.Random(options.seed).sample(points, options.sample))  # noqa: S311 a sample


@contextmanager
def _small_disk(directory: Path, *, kib: int) -> Iterator[None]:
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={kib}k,mode=700", "tmpfs", directory], check=True
    )
    try:
        yield
    finally:
        subprocess.run(["umount", directory], check=True)


def _set_up_django(place: Path) -> None:
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "opsproject.settings",
        "DATABASE_URL": f"sqlite:///{place}/db.sqlite3",
        "OPS_DATA_DIR": str(place),
    }
    django.setup()
    logging.disable(logging.CRITICAL)
    # Loaded before the forks, so that no trial loads it.
    for name in ("maintenance.coordinator", "maintenance.runner", "maintenance.snapshot"):
        importlib.import_module(name)


def _migrate() -> None:
    call_command("migrate", verbosity=0)
    connections.close_all()


def _in_child(work: Callable[[], object]) -> int:
    """Run it in a process of its own, which has its own connection; return its exit code."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        except SystemExit:
            pass
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    sys.exit(main())
