"""Brings files back from a backup: only from one that verifies, and over nothing unasked (SPEC E2).

It is verified as a whole first. Then each file is written under a private name, held against its
hash in the manifest and synced, and only then given its name: after a crash a file is whole or not
there, and to restore again goes on from there.
"""

import os
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from maintenance import progress
from maintenance.durable import make_directory
from maintenance.errors import BackupUnreadableError, RestoreError, remedy_of
from maintenance.manifest import Manifest
from maintenance.members import Member, open_members
from maintenance.target import Restored, Target
from maintenance.verify import verify_backup
from retention.files import BackedUpFile, printable
from retention.rooted import open_root


@dataclass(frozen=True, kw_only=True)
class Restoration:
    """What came of it, and how long all of it took, the verification included."""

    manifest: Manifest
    target: Path
    restored: Restored
    seconds: float


def restore_backup(
    manifest_path: Path,
    target: Path,
    *,
    only: Collection[str] = (),
    overwrite: bool = False,
    manifest_sha256: str = "",
) -> Restoration:
    """Write the files of a backup below `target`, which is made if it is missing.

    `only` names files and directories by their paths in the backup; empty is everything. What has
    a file's name already is kept, and told, unless `overwrite`. `manifest_sha256` is the hash known
    from elsewhere. Raises ManifestError, VerificationError, RestoreError, RootUnusableError.
    """
    began = time.monotonic()
    manifest = verify_backup(manifest_path, manifest_sha256=manifest_sha256)
    _require_listed(manifest, only)
    _require_apart(manifest, target)
    try:
        make_directory(target)
    except OSError as error:
        raise RestoreError(
            f"{str(target)!r} cannot be made ({error.strerror}): give a directory to restore to"
        ) from error
    restored = _write(manifest, target, only, overwrite=overwrite)
    return Restoration(
        manifest=manifest, target=target, restored=restored, seconds=time.monotonic() - began
    )


def _write(
    manifest: Manifest, target_root: Path, only: Collection[str], *, overwrite: bool
) -> Restored:
    with open_root(target_root) as handle, Target(handle, overwrite=overwrite) as target:
        progress.begin("restoring", manifest.totals.total_bytes)
        try:
            with open_members(manifest) as members:
                for listed, member in zip(manifest.files(), members, strict=True):
                    if _is_among(listed, only):
                        target.put(listed, member._replace(chunks=partial(_read, member)))
                    progress.advance(listed.found.size_bytes)
            target.sync()
        except OSError as error:
            raise RestoreError(
                f"{str(target_root)!r} took {target.report.files} files, then no more "
                f"({error.strerror or error}): {remedy_of(error)}, then restore again"
            ) from error
    return target.report


def _read(member: Member) -> Iterator[bytes]:
    """Read a member, and tell that it cannot be read from a target that takes no more."""
    try:
        yield from member.chunks()
    except OSError as error:
        raise BackupUnreadableError(
            f"{printable(member.path)!r} cannot be read in the backup: {error.strerror}"
        ) from error


def _is_among(file: BackedUpFile, only: Collection[str]) -> bool:
    return not only or any(file.path == name or file.path.startswith(f"{name}/") for name in only)


def _require_listed(manifest: Manifest, only: Collection[str]) -> None:
    missing = set(only)
    for file in manifest.files() if missing else ():
        missing = {name for name in missing if not _is_among(file, (name,))}
    if missing:
        names = ", ".join(repr(printable(name)) for name in sorted(missing))
        raise RestoreError(
            f"{names} is not in {manifest.header.backup_id}: give paths as its manifest lists them"
        )


def _require_apart(manifest: Manifest, target: Path) -> None:
    """A file that is restored among the backups would lie in their way."""
    backups = manifest.path.resolve().parent.parent
    place = Path(os.path.realpath(target))
    if any(above.exists() and above.samefile(backups) for above in (place, *place.parents)):
        raise RestoreError(
            f"{str(target)!r} is inside the backup root {str(backups)!r}: restore to elsewhere"
        )
