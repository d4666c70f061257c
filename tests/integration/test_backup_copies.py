"""Copies of backups elsewhere: on S3, as moto's server plays it, and on another disk."""

import json
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import boto3
import pytest
import s3fs
from django.core.management import CommandError, call_command
from moto.server import ThreadedMotoServer

from maintenance import tasks
from maintenance.manifest import Strategy
from maintenance.models import Backup
from maintenance.remote import Remote
from maintenance.roots import Roots
from maintenance.standing import back_up_and_maintain
from maintenance.verify import verify_backup
from tests.backups import back_up, make_roots, newest_tree, put
from tests.servers import free_port

pytestmark = pytest.mark.django_db
ODD = os.fsdecode(b"a\n\xff")


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    port = free_port()
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
    yield f"http://127.0.0.1:{port}"
    server.stop()


@pytest.fixture(params=["s3", "disk"])
def place(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> str:
    if request.param == "disk":
        settings.OPS_BACKUP_COPY_URL = f"file://{tmp_path}/elsewhere"
        return str(tmp_path / "elsewhere")
    endpoint = request.getfixturevalue("s3")
    for name, value in (
        ("AWS_ACCESS_KEY_ID", "x"),
        ("AWS_SECRET_ACCESS_KEY", "x"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("AWS_ENDPOINT_URL", endpoint),
    ):
        monkeypatch.setenv(name, value)
    bucket = f"bucket-{tmp_path.name.replace('_', '-').lower()[-40:].strip('-')}"
    boto3.client("s3").create_bucket(Bucket=bucket)
    s3fs.S3FileSystem.clear_instance_cache()
    settings.OPS_BACKUP_COPY_URL = f"s3://{bucket}/ops"
    return str(settings.OPS_BACKUP_COPY_URL)


@pytest.fixture
def roots(tmp_path: Path, settings: Any) -> Roots:
    roots = make_roots(tmp_path)
    settings.DATASET_ROOT, settings.BACKUP_ROOT = roots.dataset, roots.backup
    put(roots, f"deep/{ODD}", b"odd")
    put(roots, "twin-1", b"the same")
    put(roots, "twin-2", b"the same")
    put(roots, "empty", b"")
    return roots


def told(command: str, *arguments: str) -> str:
    out = StringIO()
    call_command(command, *arguments, stdout=out)
    return out.getvalue().strip()


@pytest.mark.parametrize("strategy", Strategy)
def test_what_was_lost_comes_back_from_its_copy(
    roots: Roots, place: str, strategy: Strategy
) -> None:
    del place
    backup = back_up(roots, strategy)
    assert told("copy_backups").startswith("1 copied, ")
    assert told("copy_backups") == "0 copied, 0 bytes sent"
    backup.refresh_from_db()
    assert backup.copied_at is not None
    before = backup.manifest_file.read_bytes()
    shutil.rmtree(roots.backup)
    Backup.objects.all().delete()

    assert told("fetch_backup") == backup.backup_id
    assert told("fetch_backup", backup.backup_id) == (
        f"{backup.backup_id} is back and verified: 4 files"
    )

    again = Backup.objects.get()
    assert (again.state, again.manifest_sha256) == ("verified", backup.manifest_sha256)
    assert again.manifest_file.read_bytes() == before
    assert verify_backup(again.manifest_file).totals.file_count == 4
    with pytest.raises(CommandError, match="is there already"):
        told("fetch_backup", backup.backup_id)


def test_what_trees_share_is_sent_once(roots: Roots, place: str) -> None:
    del place
    back_up(roots, Strategy.FILE, base=newest_tree())
    first = tasks.copy_backups()
    put(roots, "new", b"new")
    second = back_up(roots, Strategy.FILE, base=newest_tree())
    sent = tasks.copy_backups()["sent_bytes"]
    assert sent == len(b"new") + second.manifest_file.stat().st_size
    assert first["sent_bytes"] == len(b"oddthe same") + first_manifest_size()


def first_manifest_size() -> int:
    first = Backup.objects.order_by("sequence").first()
    assert first is not None
    return first.manifest_file.stat().st_size


def test_a_copy_that_is_not_whole_is_none(roots: Roots, settings: Any, tmp_path: Path) -> None:
    settings.OPS_BACKUP_COPY_URL = f"file://{tmp_path}/elsewhere"
    backup = back_up(roots, Strategy.ARCHIVE)
    tasks.copy_backups()
    there = tmp_path / "elsewhere" / backup.backup_id
    (there / backup.archive_name).write_bytes(b"x" * backup.stored_bytes)
    shutil.rmtree(backup.directory)
    with pytest.raises(CommandError, match="is damaged"):
        told("fetch_backup", backup.backup_id)
    assert not backup.directory.exists()
    (there / "manifest.jsonl").unlink()
    with pytest.raises(CommandError, match="no backup is at file://"):
        told("fetch_backup")
    with pytest.raises(CommandError, match=r"no backup .* is among the copies"):
        told("fetch_backup", backup.backup_id)


def test_fetching_keeps_what_was_known_of_the_backup(
    roots: Roots, settings: Any, tmp_path: Path
) -> None:
    settings.OPS_BACKUP_COPY_URL = f"file://{tmp_path}/elsewhere"
    backup = back_up(roots, Strategy.ARCHIVE)
    drilled = datetime(2026, 3, 1, tzinfo=UTC)
    backup.note(drilled_at=drilled, drill_seconds=2.5, anomaly="half of the files are gone")
    tasks.copy_backups()
    shutil.rmtree(backup.directory)

    assert json.loads(told("fetch_backup", "--json")) == [backup.backup_id]
    assert json.loads(told("fetch_backup", backup.backup_id, "--json")) == {
        "backup_id": backup.backup_id,
        "state": "suspect",
        "files": 4,
    }
    again = Backup.objects.get()
    assert (again.drilled_at, again.drill_seconds) == (drilled, 2.5)
    assert again.suspicion


def test_a_forged_copy_is_not_taken_for_the_backup(
    roots: Roots, settings: Any, tmp_path: Path
) -> None:
    settings.OPS_BACKUP_COPY_URL = f"file://{tmp_path}/elsewhere"
    backup = back_up(roots, Strategy.ARCHIVE)
    tasks.copy_backups()
    put(roots, "forged", b"forged")
    other = back_up(roots, Strategy.ARCHIVE)
    place = tmp_path / "elsewhere" / backup.backup_id
    shutil.rmtree(place)
    shutil.copytree(other.directory, place)  # whole, consistent, and another one
    shutil.rmtree(backup.directory)
    with pytest.raises(CommandError, match="is not the manifest that was recorded"):
        told("fetch_backup", backup.backup_id)
    Backup.objects.filter(pk=backup.pk).delete()
    with pytest.raises(CommandError, match=f"stored as {backup.backup_id} is {other.backup_id}"):
        told("fetch_backup", backup.backup_id)
    assert not backup.directory.exists()


def test_a_fetch_that_was_killed_is_begun_anew(roots: Roots, settings: Any, tmp_path: Path) -> None:
    settings.OPS_BACKUP_COPY_URL = f"file://{tmp_path}/elsewhere"
    backup = back_up(roots, Strategy.ARCHIVE)
    tasks.copy_backups()
    backup.directory.rename(roots.backup / f".partial-{backup.backup_id}")
    assert "is back and verified" in told("fetch_backup", backup.backup_id)


@pytest.mark.parametrize("backup_id", ["../elsewhere", "objects", "/etc", "."])
def test_what_is_no_id_is_fetched_from_nowhere(
    roots: Roots, settings: Any, tmp_path: Path, backup_id: str
) -> None:
    settings.OPS_BACKUP_COPY_URL = f"file://{tmp_path}/elsewhere"
    back_up(roots, Strategy.ARCHIVE)
    tasks.copy_backups()
    with pytest.raises(CommandError, match=r"is no id of a backup"):
        told("fetch_backup", backup_id)


@pytest.mark.parametrize("strategy", Strategy)
def test_what_was_sent_but_not_read_back_is_no_copy(
    roots: Roots,
    settings: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    strategy: Strategy,
) -> None:
    settings.OPS_BACKUP_COPY_URL = f"file://{tmp_path}/elsewhere"
    backup = back_up(roots, strategy)

    def killed(*_: object) -> Iterator[bytes]:
        for arriving in (tmp_path / "elsewhere").rglob("*.arriving"):
            arriving.write_bytes(b"?" * arriving.stat().st_size)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Remote, "_chunks", killed)
        with pytest.raises(KeyboardInterrupt):
            told("copy_backups")
    with pytest.raises(CommandError, match="no backup is at file://"):
        told("fetch_backup")
    assert told("copy_backups").startswith("1 copied, ")
    shutil.rmtree(backup.directory)
    assert "is back and verified" in told("fetch_backup", backup.backup_id)


def test_another_place_gets_what_the_one_before_had(
    roots: Roots, settings: Any, tmp_path: Path
) -> None:
    for place in ("one", "two"):
        settings.OPS_BACKUP_COPY_URL = f"file://{tmp_path}/{place}"
        if place == "one":
            back_up(roots, Strategy.ARCHIVE)
        assert told("copy_backups").startswith("1 copied, ")
        assert told("copy_backups") == "0 copied, 0 bytes sent"
    shutil.rmtree(tmp_path / "two")
    assert told("copy_backups").startswith("1 copied, ")


def test_other_bytes_of_the_same_size_are_no_copy(
    roots: Roots, settings: Any, tmp_path: Path
) -> None:
    settings.OPS_BACKUP_COPY_URL = f"file://{tmp_path}/elsewhere"
    backup = back_up(roots, Strategy.ARCHIVE)
    there = tmp_path / "elsewhere" / backup.backup_id
    there.mkdir(parents=True)
    (there / backup.archive_name).write_bytes(b"?" * backup.stored_bytes)
    tasks.copy_backups()
    shutil.rmtree(backup.directory)
    assert "is back and verified" in told("fetch_backup", backup.backup_id)


def test_the_backup_root_is_no_place_for_copies(roots: Roots, settings: Any) -> None:
    settings.OPS_BACKUP_COPY_URL = f"file://{roots.backup}"
    back_up(roots, Strategy.ARCHIVE)
    with pytest.raises(CommandError, match="leads into the backup root"):
        told("copy_backups")


def test_what_does_not_arrive_as_it_is_is_sent_again(
    roots: Roots, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.OPS_BACKUP_COPY_URL = f"file://{tmp_path}/elsewhere"
    backup = back_up(roots, Strategy.ARCHIVE)
    back_up(roots, Strategy.FILE, base=newest_tree())
    with monkeypatch.context() as patch:
        patch.setattr(Remote, "_chunks", lambda *_: iter([b"other"]))
        with pytest.raises(CommandError, match="did not arrive as it is: copy it again"):
            told("copy_backups")
    backup.refresh_from_db()
    assert backup.copied_at is None
    assert told("copy_backups").startswith("2 copied, ")


def test_one_that_cannot_be_copied_stops_no_other(
    roots: Roots, settings: Any, tmp_path: Path
) -> None:
    settings.OPS_BACKUP_COPY_URL = f"file://{tmp_path}/elsewhere"
    lost = back_up(roots, Strategy.ARCHIVE)
    whole = back_up(roots, Strategy.ARCHIVE)
    lost.manifest_file.unlink()
    with pytest.raises(CommandError, match=f"{lost.backup_id}: .* cannot be read"):
        told("copy_backups")
    whole.refresh_from_db()
    assert whole.copied_at is not None


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "OPS_BACKUP_COPY_URL names no place"),
        ("nonsense://x", "cannot be used"),
        ("file:///proc/nope", "cannot take"),
    ],
)
def test_a_place_that_is_none_is_named(roots: Roots, settings: Any, url: str, said: str) -> None:
    settings.OPS_BACKUP_COPY_URL = url
    back_up(roots, Strategy.ARCHIVE)
    with pytest.raises(CommandError, match=said):
        told("copy_backups")


def test_the_standing_job_copies_what_it_made(roots: Roots, settings: Any, tmp_path: Path) -> None:
    settings.OPS_BACKUP_COPY_URL = f"file://{tmp_path}/elsewhere"
    assert back_up_and_maintain()["copied"] == 1
    assert told("fetch_backup") == Backup.objects.get().backup_id
    del roots
