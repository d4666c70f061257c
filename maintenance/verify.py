"""Reads an archive back against its manifest, in one stream: every member and the whole file."""

import hashlib
from itertools import zip_longest
from pathlib import Path

from maintenance.errors import VerificationError
from maintenance.manifest import Manifest
from maintenance.members import Member, open_members
from retention.files import BackedUpFile, printable


def verify_backup(manifest_path: Path, *, manifest_sha256: str = "") -> Manifest:
    """Return the manifest if the archive beside it holds exactly what it lists.

    `manifest_sha256` is the hash known from elsewhere, '' if none is. Raises ManifestError or
    VerificationError naming the first difference.
    """
    manifest = Manifest.read(manifest_path)
    if manifest_sha256 not in {"", manifest.sha256}:
        raise VerificationError(f"{str(manifest_path)!r} is not the manifest that was recorded")
    try:
        with open_members(manifest) as members:
            for listed, stored in zip_longest(manifest.files(), members):
                if listed is None or stored is None or not _agree(listed, stored):
                    culprit = listed.path if listed else stored.path if stored else ""
                    raise VerificationError(
                        f"{printable(culprit)!r} is not in {str(manifest.archive_path)!r} as listed"
                    )
    except OSError as error:
        raise VerificationError(
            f"{str(manifest.archive_path)!r} cannot be read: {error}"
        ) from error
    return manifest


def _agree(listed: BackedUpFile, stored: Member) -> bool:
    digest = hashlib.sha256()
    for chunk in stored.chunks():
        digest.update(chunk)
    found = (stored.path, stored.size_bytes, digest.hexdigest())
    return found == (listed.path, listed.found.size_bytes, listed.sha256)
