"""The two directories of a maintenance run, and which pairs of them are refused."""

import os
from dataclasses import dataclass
from pathlib import Path

from maintenance.durable import make_directory
from maintenance.errors import RootsError


@dataclass(frozen=True, kw_only=True)
class Roots:
    """Where the data lives and where its backups go: absolute, links resolved."""

    dataset: Path
    backup: Path


def checked_roots(
    dataset_root: str | os.PathLike[str], backup_root: str | os.PathLike[str]
) -> Roots:
    """Return both roots, making the backup root if need be; raise RootsError naming the remedy."""
    roots = resolved_roots(dataset_root, backup_root)
    try:
        make_directory(roots.backup)
    except OSError as error:
        raise RootsError(
            f"backup root {str(roots.backup)!r} cannot be made ({error.strerror}): "
            "give a writable directory"
        ) from error
    return roots


def resolved_roots(
    dataset_root: str | os.PathLike[str], backup_root: str | os.PathLike[str]
) -> Roots:
    """Return both roots without touching them; raise RootsError.

    A backup root inside the dataset is fine (scans pass it over), the reverse is not: backups
    would be taken for data.
    """
    try:
        roots = Roots(
            dataset=_existing_dataset(Path(dataset_root)), backup=_resolved(Path(backup_root))
        )
        if _holds(roots.backup, roots.dataset):
            raise RootsError(
                f"dataset root {str(roots.dataset)!r} lies in the backup root "
                f"{str(roots.backup)!r}: choose a backup root that does not contain the dataset"
            )
    except OSError as error:
        raise RootsError(
            f"{str(error.filename)!r} cannot be looked at ({error.strerror}): "
            "give directories that may be read"
        ) from error
    return roots


def _holds(backup: Path, dataset: Path) -> bool:
    there = backup.exists()
    return any(
        directory == backup or (there and directory.samefile(backup))
        for directory in (dataset, *dataset.parents)
    )


def _existing_dataset(dataset_root: Path) -> Path:
    dataset = _resolved(dataset_root)
    if not dataset.is_dir():
        raise RootsError(
            f"dataset root {str(dataset_root)!r} is not a directory: create it or mount it"
        )
    return dataset


def _resolved(path: Path) -> Path:
    try:
        return path.expanduser().resolve()
    except (OSError, RuntimeError) as error:  # a loop of links, an unknown home
        raise RootsError(f"{str(path)!r} cannot be resolved: {error}") from error
