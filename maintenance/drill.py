"""The drill: restore a backup to scratch, compare every byte, and note how long that took."""

import hashlib
import shutil
import tempfile
import time
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from maintenance.errors import RestoreError
from maintenance.locks import reading, unless_read
from maintenance.manifest import Manifest
from maintenance.restore import restore_backup
from retention.files import BackedUpFile, FoundFile, printable
from retention.scanner import DatasetScanner

PREFIX = ".ops-drill-"  # nobody else's: what a killed one left is removed by its name


@dataclass(frozen=True, kw_only=True)
class Drill:
    """A drill that went well; `seconds` is what a restoration would take, comparison included."""

    manifest: Manifest
    seconds: float


def drill(manifest_path: Path, scratch: Path, *, manifest_sha256: str = "") -> Drill:
    """Restore below a new directory in `scratch`, compare it with the manifest, and remove it.

    Raises ManifestError, VerificationError, or RestoreError naming the first file that did not come
    back as it was.
    """
    began = time.monotonic()
    try:
        _sweep(scratch)
        place = Path(tempfile.mkdtemp(prefix=PREFIX, dir=scratch))
    except OSError as error:
        raise RestoreError(
            f"{str(scratch)!r} cannot hold a drill ({error.strerror}): give a writable directory"
        ) from error
    with reading(place):
        try:
            restoration = restore_backup(manifest_path, place, manifest_sha256=manifest_sha256)
            _compare(restoration.manifest, place)
        except OSError as error:
            raise RestoreError(f"the drill in {str(place)!r} broke off: {error}") from error
        finally:
            shutil.rmtree(place, ignore_errors=True)
    return Drill(manifest=restoration.manifest, seconds=time.monotonic() - began)


def _sweep(scratch: Path) -> None:
    """Remove what drills left that were killed: nobody is at it any more."""
    for left in scratch.glob(f"{PREFIX}*"):
        with unless_read(left) as nobody:
            if nobody and left.is_dir() and not left.is_symlink():
                shutil.rmtree(left, ignore_errors=True)


def _compare(manifest: Manifest, place: Path) -> None:
    """Walk through what came back: a manifest lists the files in the order of a walk."""
    for wanted, found in zip_longest(manifest.files(), DatasetScanner(place)):
        if wanted is None or found is None or not _is_same(wanted, found, place):
            culprit = wanted.path if wanted else found.path if found else ""
            raise RestoreError(f"{printable(culprit)!r} did not come back as it was backed up")


def _is_same(wanted: BackedUpFile, found: FoundFile, place: Path) -> bool:
    facts = (wanted.path, wanted.found.size_bytes, wanted.found.mtime_ns)
    if facts != (found.path, found.size_bytes, found.mtime_ns):
        return False
    with (place / found.path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == wanted.sha256
