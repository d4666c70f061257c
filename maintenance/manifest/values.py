"""The values that a manifest states besides its files."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

FORMAT = 2
READABLE = {1, FORMAT}  # the first one lists no rights and knows archives only
TREE_NAME = "files"  # the directory of a tree, beside its manifest
TOOL = "ops-platform 0.1.0"


class Strategy(StrEnum):
    """How the bytes are stored."""

    ARCHIVE = "archive"  # one compressed tar
    FILE = "file"  # a tree of copies; what is unchanged is linked to the backup before


class Purpose(StrEnum):
    """Why a backup was made, and so how long it lives."""

    SNAPSHOT = "snapshot"  # one of several copies of a dataset that is still there
    EXPIRED = "expired"  # where deleted files now live: no count rule may touch it


@dataclass(frozen=True, kw_only=True)
class Header:
    """The first line: what was backed up, when, by what, and which backup came before."""

    backup_id: str
    created_at: datetime
    source_root: str
    strategy: Strategy
    purpose: Purpose
    tool: str = TOOL
    previous_id: str | None = None
    previous_sha256: str | None = None
    base_id: str | None = None  # of a tree: the backup whose files it links
    generation: int = 0  # of a tree: how many trees its links go back
    is_partial: bool = False  # globs left something of the source out


@dataclass(frozen=True, kw_only=True)
class ArchiveFacts:
    """The archive file beside the manifest."""

    name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Stored:
    """What a backup took of the disk; a tree is no archive, and nobody knows what changed in one.

    `changed_count` are the files that the tree before has as well, with another content.
    """

    stored_bytes: int
    archive: ArchiveFacts | None = None
    changed_count: int | None = None


@dataclass(frozen=True, kw_only=True)
class Totals:
    """The last line: the sums of all lines before."""

    finished_at: datetime
    file_count: int
    total_bytes: int
    skipped_count: int
    stored: Stored
    lines_sha256: str
