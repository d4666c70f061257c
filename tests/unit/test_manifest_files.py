"""A manifest says what it was given, and is believed only while it adds up."""

import hashlib
import json
import os
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maintenance.errors import ManifestError
from maintenance.manifest import (
    ArchiveFacts,
    Header,
    Manifest,
    ManifestWriter,
    Purpose,
    Stored,
    Strategy,
)
from maintenance.manifest.lines import as_file, line_of, line_of_file, read_lines
from maintenance.manifest.values import TOOL
from retention.files import BackedUpFile, FoundFile, Skipped

NOW = datetime(2026, 3, 1, tzinfo=UTC)
FILES = [
    BackedUpFile(FoundFile("raw/a\n\udcff", 3, -1, 7), "a" * 64),
    BackedUpFile(
        FoundFile("raw/b", 5 * 2**30, 2**62, 2**63), "b" * 64, 0o4755, (0, 65534), ctime_ns=-5
    ),
]


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    header = Header(
        backup_id="000001",
        created_at=NOW,
        source_root="/data\udcff",
        strategy=Strategy.ARCHIVE,
        purpose=Purpose.SNAPSHOT,
    )
    path = tmp_path / "manifest.jsonl"
    with ManifestWriter(path, header) as writer:
        for file in FILES:
            writer.add(file)
        writer.skip(Skipped("pipe", "named pipe"))
        facts = ArchiveFacts(name="a.tar.zst", size_bytes=9, sha256="c" * 64)
        writer.finish(Stored(stored_bytes=9, archive=facts), finished_at=NOW)
    return path


def test_what_was_written_is_read_back(manifest: Path) -> None:
    read = Manifest.read(manifest)

    assert list(read.files()) == FILES
    assert read.header.source_root == "/data\udcff"
    assert read.header.purpose is Purpose.SNAPSHOT
    assert (read.totals.file_count, read.totals.skipped_count) == (2, 1)
    assert read.totals.total_bytes == 5 * 2**30 + 3
    assert read.content_path == manifest.with_name("a.tar.zst")


NAMES = st.binary(min_size=1).map(os.fsdecode) | st.text(min_size=1)


@given(
    path=NAMES,
    size=st.integers(0, 2**63 - 1),
    mtime_ns=st.integers(-(2**80), 2**80),
    inode=st.integers(0, 2**64),
    mode=st.integers(0, 0o7777),
    owner=st.none() | st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)),
    ctime_ns=st.none() | st.integers(),
)
def test_the_line_of_a_file_is_plain_json_and_reads_back(
    tmp_path_factory: pytest.TempPathFactory,
    path: str,
    size: int,
    mtime_ns: int,
    inode: int,
    mode: int,
    owner: tuple[int, int] | None,
    ctime_ns: int | None,
) -> None:
    file = BackedUpFile(FoundFile(path, size, mtime_ns, inode), "a" * 64, mode, owner, ctime_ns)
    line = line_of_file(file)
    stated = {"kind": "file", "path": path, "size": size, "mtime_ns": mtime_ns, "inode": inode}
    stated |= {"sha256": "a" * 64, "mode": mode, "owner": owner, "ctime_ns": ctime_ns}
    assert line == line_of(stated)

    written = tmp_path_factory.mktemp("manifest") / "lines"
    written.write_bytes(line)
    (read,) = read_lines(written)
    assert read.parsed(as_file) == file


def _without_line(lines: list[bytes]) -> list[bytes]:
    return [lines[0], *lines[2:]]


def _renamed(lines: list[bytes]) -> list[bytes]:
    return [lines[0], lines[1].replace(b"raw/a", b"raw/c"), *lines[2:]]


def _with_recounted_extra(lines: list[bytes]) -> list[bytes]:
    end = json.loads(lines[-1])
    extra = json.loads(lines[1])
    extra["path"] = "raw/live"
    end["files"] += 1
    end["bytes"] += extra["size"]
    return [*lines[:-1], json.dumps(extra).encode() + b"\n", json.dumps(end).encode() + b"\n"]


@pytest.mark.parametrize(
    ("edit", "complaint"),
    [
        (lambda lines: lines[:0], "is empty"),
        (lambda lines: lines[:-1], "cut short"),
        (lambda lines: [*lines, lines[1]], "goes on"),
        (_without_line, "does not add up"),
        (_renamed, "it was edited"),
        (_with_recounted_extra, "it was edited"),
        (lambda lines: [lines[0][:-3] + b"\n", *lines[1:]], "line 1 is no JSON"),
        (lambda lines: [lines[0], b"[]\n", *lines[1:]], "line 2 is no JSON object"),
        (lambda lines: [lines[0], b'{"kind":"dir"}\n', *lines[1:]], "no known kind"),
        (lambda lines: [lines[0], b'{"kind":"file"}\n', *lines[1:]], "line 2 is damaged"),
        (lambda lines: [lines[0].replace(b'"format":2', b'"format":3'), *lines[1:]], "format 1"),
        (lambda lines: [lines[1]], "line 1 is damaged"),
        (lambda lines: [b"\xff\n", *lines], "line 1 is no JSON"),
    ],
)
def test_a_damaged_or_edited_manifest_is_refused(
    manifest: Path, edit: object, complaint: str
) -> None:
    lines = manifest.read_bytes().splitlines(keepends=True)
    manifest.write_bytes(b"".join(edit(lines)))  # type: ignore[operator]  # a lambda of the table

    with pytest.raises(ManifestError, match=complaint):
        Manifest.read(manifest)


def test_a_missing_manifest_is_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="cannot be read"):
        Manifest.read(tmp_path / "manifest.jsonl")


def test_an_archive_name_cannot_lead_elsewhere(manifest: Path) -> None:
    manifest.write_bytes(manifest.read_bytes().replace(b"a.tar.zst", b"../a.tar.zst"))

    with pytest.raises(ManifestError, match="is no file name"):
        Manifest.read(manifest)


def test_the_tool_in_the_manifest_is_this_release() -> None:
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert f"{project['name']} {project['version']}" == TOOL


def test_a_manifest_of_the_first_format_is_read(tmp_path: Path) -> None:
    """It lists no rights: what is restored by it is its owner's alone."""
    lines = [
        {
            "kind": "backup", "format": 1, "backup_id": "000001", "created_at": NOW.isoformat(),
            "source_root": "/data", "strategy": "archive", "purpose": "expired", "tool": "ops",
            "previous_id": None, "previous_sha256": None,
        },
        {"kind": "file", "path": "a", "size": 3, "mtime_ns": 1, "inode": 2, "sha256": "a" * 64},
    ]  # fmt: skip
    text = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    end = {
        "kind": "end", "finished_at": NOW.isoformat(), "files": 1, "bytes": 3, "skipped": 0,
        "archive": {"name": "a.tar.gz", "size": 9, "sha256": "c" * 64},
        "lines_sha256": hashlib.sha256(text).hexdigest(),
    }  # fmt: skip
    path = tmp_path / "manifest.jsonl"
    path.write_bytes(text + json.dumps(end).encode() + b"\n")
    read = Manifest.read(path)
    assert [(file.path, file.mode, file.owner, file.ctime_ns) for file in read.files()] == [
        ("a", 0o600, None, None)
    ]
    assert read.totals.stored.stored_bytes == 9
