"""Writes a manifest, line by line, while its archive is made; the format is told in the package."""

from datetime import datetime
from pathlib import Path
from typing import Any, Self

from maintenance.manifest.lines import line_of, line_of_file
from maintenance.manifest.values import FORMAT, Header, Stored
from maintenance.streams import HashingSink
from retention.files import BackedUpFile, Skipped

LINES_AT_ONCE = 256


class ManifestWriter:
    """Writes a new manifest file, which is none before `finish`; raises OSError (disk full)."""

    def __init__(self, path: Path, header: Header) -> None:
        self._sink = HashingSink(path)
        self._lines: list[bytes] = []  # that are not in the file yet
        self._file_count = self._total_bytes = self._skipped_count = 0
        self._line(
            kind="backup",
            format=FORMAT,
            backup_id=header.backup_id,
            created_at=header.created_at.isoformat(),
            source_root=header.source_root,
            strategy=header.strategy,
            purpose=header.purpose,
            tool=header.tool,
            previous_id=header.previous_id,
            previous_sha256=header.previous_sha256,
            base_id=header.base_id,
            generation=header.generation,
            partial=header.is_partial,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._sink.abandon()

    def add(self, file: BackedUpFile) -> None:
        """List a file that is in the backup."""
        self._file_count += 1
        self._total_bytes += file.found.size_bytes
        self._lines.append(line_of_file(file))
        if len(self._lines) >= LINES_AT_ONCE:
            self._write_lines()

    def skip(self, skipped: Skipped) -> None:
        """List something that was left out."""
        self._skipped_count += 1
        self._line(kind="skipped", path=skipped.path, reason=skipped.reason)

    def finish(self, stored: Stored, *, finished_at: datetime) -> str:
        """Write the end line, bring all of it to the disk and return the hash of the file."""
        self._write_lines()
        archive = stored.archive
        self._line(
            kind="end",
            finished_at=finished_at.isoformat(),
            files=self._file_count,
            bytes=self._total_bytes,
            skipped=self._skipped_count,
            stored=stored.stored_bytes,
            changed=stored.changed_count,
            archive=archive
            and {"name": archive.name, "size": archive.size_bytes, "sha256": archive.sha256},
            lines_sha256=self._sink.sha256,
        )
        self._write_lines()
        self._sink.seal()
        return self._sink.sha256

    def _line(self, **fields: Any) -> None:
        self._lines.append(line_of(fields))

    def _write_lines(self) -> None:
        self._sink.write(b"".join(self._lines))
        self._lines.clear()
