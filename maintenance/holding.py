"""Finds the backup that holds already what is to be deleted, and could not be before.

Without it each run would make another one of the same files, and those go by no count.
"""

import os
from collections.abc import Iterable

from maintenance.errors import ManifestError
from maintenance.manifest import Purpose, Strategy
from maintenance.models import Backup
from maintenance.roots import Roots
from maintenance.vouching import Listing
from retention.files import FoundFile
from retention.rooted import Descent, open_root


def held_already(roots: Roots, strategy: Strategy, expired: Iterable[FoundFile]) -> Backup | None:
    """Return the newest verified backup of deleted files if it lists all of `expired`, unchanged.

    They are given in the order of a walk.
    """
    holders = Backup.objects.below(roots.backup).of(roots.dataset).verified()
    newest = holders.filter(purpose=Purpose.EXPIRED, strategy=strategy).newest_first().first()
    if newest is None or not newest.is_intact:
        return None
    try:
        listing = Listing(newest.read_manifest())
        with open_root(roots.dataset) as root, Descent(root) as dataset:
            return newest if all(_lists(listing, found, dataset) for found in expired) else None
    except (ManifestError, OSError):
        return None


def _lists(listing: Listing, found: FoundFile, dataset: Descent) -> bool:
    known = listing.listed(found.path)
    if known is None or known.found != found:
        return False
    parent, name = dataset.parent_of(found.path)
    status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    return status.st_ctime_ns == known.ctime_ns
