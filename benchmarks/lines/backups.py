"""Backups of many bytes and of many files, beside tar and zstd, restic, sha256sum and find.

The page cache is warm unless `--cold 1` is said, which empties it before each run and needs root.
Needs Debian's packages restic and zstd.
"""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.report import Figure
from benchmarks.rig import Rig, a_rig

NAME = "backups"
KIB, MIB = 1 << 10, 1 << 20
AS_ASKED = "what `manage.py backup` does: it makes none"
A_DIRECTORY = 500  # files
DROP_CACHES = Path("/proc/sys/vm/drop_caches")


def measure(
    *,
    large: int = 2_000,
    small: int = 200_000,
    scanned: int = 1_000_000,
    rounds: int = 3,
    cold: int = 0,
) -> list[Figure]:
    """Return seconds: of `large` files of 1 MiB, of `small` ones of 1 KiB, of a scan."""
    figures = []
    if large:
        figures += _of_files(f"{large:,} files of 1 MiB", large, MIB, rounds, cold)
    if small:
        figures += _of_files(f"{small:,} files of 1 KiB", small, KIB, rounds, cold)
    if scanned:
        figures += _of_scans(scanned, rounds, cold)
    return figures


def _of_files(what: str, count: int, size: int, rounds: int, cold: int) -> list[Figure]:
    with a_rig() as rig:
        _rig_up(rig)
        data = rig.directory / "data"
        _fill(data, count, size)
        told: dict[str, list[float]] = {}
        memory: list[float] = []
        for _ in range(rounds):
            run = _Round(rig, data, cold)
            for name, value in run.measured().items():
                told.setdefault(name, []).append(value)
            memory.append(run.megabytes)
        return _figures(what, told, memory, is_large=size == MIB)


def _figures(
    what: str, told: dict[str, list[float]], memory: list[float], *, is_large: bool
) -> list[Figure]:
    def figure(name: str, who: str, key: str, reach: str = "", note: str = "") -> Figure:
        named = f"{name}, {what}"
        return Figure(what=named, who=who, unit="s", rounds=told[key], reach=reach, note=note)

    archive = "≥ 0.9 × its speed" if is_large else "≤ 2.5 × its time"
    return [
        figure("archive", "ours", "archive", archive, "without the verification that follows"),
        figure("archive", "tar | zstd -T2", "tar"),
        figure("archive, verified", "ours", "archive_verified"),
        figure("archive, verified", "tar | zstd -T2", "tar"),
        figure("tree, the second", "ours", "second_tree", "≤ its time"),
        figure("tree, the second", "ours, finding no change", "unchanged", "≤ its time", AS_ASKED),
        figure("tree, the second", "restic, the second", "second_restic"),
        figure("tree, the first", "ours", "first_tree"),
        figure("tree, the first", "restic, the first", "first_restic"),
        figure("verify an archive", "ours", "verify_archive", "≥ 0.8 × its speed"),
        figure("verify an archive", "sha256sum of the files", "sha256sum"),
        figure("verify a tree", "ours", "verify_tree", "≥ 0.8 × its speed"),
        figure("verify a tree", "sha256sum of the files", "sha256sum"),
        Figure(what=f"memory, {what}", who="ours", unit="MB", rounds=memory, reach="≤ 150 MB"),
    ]


class _Round:
    """One time each, of us and of the peers, one after the other."""

    def __init__(self, rig: Rig, data: Path, cold: int) -> None:
        self._rig, self._data, self._cold = rig, data, cold
        self._backups, self._restic = rig.directory / "backups", rig.directory / "restic"
        self.megabytes = 0.0

    def measured(self) -> dict[str, float]:
        told = {"tar": self._timed(self._tar)}
        archive = self._ours("archive")
        told |= {
            "archive": archive["backup"] - archive["verify"],
            "archive_verified": archive["backup"],
            "verify_archive": archive["verify"],
        }
        first, second = self._ours("file"), self._ours("file")
        told |= {
            "first_tree": first["backup"],
            "second_tree": second["backup"],
            "verify_tree": second["verify"],
            "unchanged": self._ours_unchanged(),
        }
        restic("init", self._restic)
        told["first_restic"] = self._timed(lambda: restic("backup", self._restic, self._data))
        told["second_restic"] = self._timed(lambda: restic("backup", self._restic, self._data))
        told["sha256sum"] = self._timed(self._sha256sum)
        shutil.rmtree(self._restic)
        shutil.rmtree(self._backups)
        self._rig.step("forget_backups")
        return told

    def _ours(self, strategy: str) -> dict[str, Any]:
        _settle(self._cold)
        told: dict[str, Any] = self._rig.step(
            "back_up", dataset=str(self._data), backups=str(self._backups), strategy=strategy
        )
        self.megabytes = max(self.megabytes, told["megabytes"])
        return told

    def _ours_unchanged(self) -> float:
        _settle(self._cold)
        told: dict[str, float] = self._rig.step(
            "find_unchanged", dataset=str(self._data), backups=str(self._backups)
        )
        return told["seconds"]

    def _timed(self, work: Callable[[], object]) -> float:
        _settle(self._cold)
        began = time.monotonic()
        work()
        return time.monotonic() - began

    def _tar(self) -> None:
        out = self._rig.directory / "peer.tar.zst"
        command = f"tar -C {self._data} -cf - . | zstd -q -T2 -o {out} && sync {out}"
        subprocess.run(["bash", "-o", "pipefail", "-c", command], check=True)  # noqa: S607 the peers
        out.unlink()

    def _sha256sum(self) -> None:
        command = f"find {self._data} -type f -print0 | xargs -0 sha256sum >/dev/null"
        subprocess.run(["bash", "-o", "pipefail", "-c", command], check=True)  # noqa: S607


def restic(command: str, repository: Path, *paths: Path) -> None:
    """Run it with a password, which it cannot do without."""
    environment = {**os.environ, "RESTIC_PASSWORD": "bench"}
    subprocess.run(
        ["restic", "-q", "-r", repository, command, *paths],  # noqa: S607
        env=environment,
        check=True,
    )


def _of_scans(count: int, rounds: int, cold: int) -> list[Figure]:
    what = f"scan of {count:,} files"
    with a_rig() as rig:
        _rig_up(rig)
        data = rig.directory / "data"
        _fill(data, count, 0)
        ours, found, memory = [], [], []
        for _ in range(rounds):
            _settle(cold)
            began = time.monotonic()
            subprocess.run(
                ["find", data, "-type", "f", "-printf", "%p %s %T@ %i\\n"],  # noqa: S607
                stdout=subprocess.DEVNULL,
                check=True,
            )
            found.append(time.monotonic() - began)
            _settle(cold)
            told = rig.step("scan_dataset", dataset=str(data))
            assert told["files"] == count  # noqa: S101 a measurement of less is none
            ours.append(told["seconds"])
            memory.append(told["megabytes"])
    note = "with each file's category"
    return [
        Figure(what=what, who="ours", unit="s", rounds=ours, reach="≤ 2.5 × its time", note=note),
        Figure(what=what, who="find -printf", unit="s", rounds=found),
        Figure(what=f"memory, {what}", who="ours", unit="MB", rounds=memory, reach="≤ 150 MB"),
    ]


def _rig_up(rig: Rig) -> None:
    rig.database_url = f"sqlite:///{rig.directory}/bench.sqlite3"
    rig.migrate()


def _fill(data: Path, count: int, size: int) -> None:
    """Make the files: half of each is noise, half is text."""
    for number in range(count):
        if number % A_DIRECTORY == 0:
            directory = data / f"raw-{number // A_DIRECTORY}"
            directory.mkdir(parents=True)
        noise = os.urandom(size // 2)
        line = json.dumps({"number": number, "noise": noise[:16].hex()}).encode()
        text = (line * (size // 2 // len(line) + 1))[: size - size // 2]
        (directory / f"{number:07d}.json").write_bytes(noise + text)


def _settle(cold: int) -> None:
    """Let the disk finish what others began."""
    os.sync()
    if cold:
        DROP_CACHES.write_text("3")
