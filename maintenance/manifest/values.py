"""The values that a manifest states besides its files."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

FORMAT = 1
TOOL = "ops-platform 0.1.0"


class Strategy(StrEnum):
    """How the bytes are stored."""

    ARCHIVE = "archive"


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


@dataclass(frozen=True, kw_only=True)
class ArchiveFacts:
    """The archive file beside the manifest."""

    name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Totals:
    """The last line: the sums of all lines before."""

    finished_at: datetime
    file_count: int
    total_bytes: int
    skipped_count: int
    archive: ArchiveFacts
    lines_sha256: str
