"""Reads a backup back against its manifest, in one pass: every file, and nothing else in it."""

from itertools import zip_longest
from pathlib import Path

from maintenance import progress
from maintenance.errors import BackupUnreadableError, VerificationError
from maintenance.hashing import Sha256
from maintenance.manifest import Manifest
from maintenance.members import Member, open_members
from retention.files import BackedUpFile, printable


def verify_backup(
    manifest_path: Path, *, manifest_sha256: str = "", trust_shared: bool = False
) -> Manifest:
    """Return the manifest if the archive or the tree beside it holds exactly what it lists.

    `manifest_sha256` is the hash known from elsewhere, '' if none is. With `trust_shared` copies
    that another backup has as well are not read, only measured: that one was verified. Raises
    ManifestError or VerificationError naming the first difference.
    """
    manifest = Manifest.read(manifest_path)
    if manifest_sha256 not in {"", manifest.sha256}:
        raise VerificationError(f"{str(manifest_path)!r} is not the manifest that was recorded")
    place = str(manifest.content_path)
    progress.begin("verifying", manifest.totals.total_bytes)
    try:
        with open_members(manifest) as members:
            for listed, stored in zip_longest(manifest.files(), members):
                if listed is None or stored is None or not _agree(listed, stored, trust_shared):
                    culprit = listed.path if listed else stored.path if stored else ""
                    raise VerificationError(
                        f"{printable(culprit)!r} is not in {place!r} as listed", path=culprit
                    )
                progress.advance(stored.size_bytes)
    except FileNotFoundError as error:
        raise VerificationError(f"{place!r} cannot be read: {error.strerror}") from error
    except OSError as error:
        raise BackupUnreadableError(f"{place!r} cannot be read: {error}") from error
    return manifest


def _agree(listed: BackedUpFile, stored: Member, trust_shared: bool) -> bool:  # noqa: FBT001 the caller's own
    if (stored.path, stored.size_bytes) != (listed.path, listed.found.size_bytes):
        return False
    if trust_shared and stored.is_shared():
        return True
    digest = Sha256()
    for chunk in stored.chunks():
        digest.update(chunk)
    return digest.hexdigest() == listed.sha256
