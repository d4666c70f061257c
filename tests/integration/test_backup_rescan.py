"""The manifests are enough to rebuild the rows, and their chain shows what is gone or rewritten."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from maintenance.backup import BackupOrder, make_backup
from maintenance.layout import MANIFEST_NAME
from maintenance.locks import backup_lock
from maintenance.manifest import Purpose
from maintenance.models import Backup
from maintenance.rescan import REWRITTEN
from maintenance.roots import Roots
from retention.scanner import DatasetScanner

pytestmark = pytest.mark.django_db


@pytest.fixture
def roots(tmp_path: Path) -> Roots:
    roots = Roots(dataset=tmp_path / "data", backup=tmp_path / "backups")
    roots.dataset.mkdir()
    roots.backup.mkdir()
    return roots


@pytest.fixture
def backups(roots: Roots) -> list[Backup]:
    made = []
    for number in range(3):
        (roots.dataset / f"file-{number}").write_text("x" * number)
        order = BackupOrder(roots=roots, purpose=Purpose.SNAPSHOT, now=datetime.now(UTC))
        made.append(make_backup(DatasetScanner(roots.dataset), order))
    return made


def rescan(roots: Roots, capsys: pytest.CaptureFixture[str], *, well: bool) -> dict[str, Any]:
    def call() -> None:
        call_command("backup_rescan", "--backup-root", str(roots.backup), "--json")

    if well:
        call()
    else:
        with pytest.raises(CommandError, match="not every backup is there as it was written"):
            call()
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    return {name: found for name, found in told.items() if found}


def rows() -> list[dict[str, Any]]:
    return [
        {name: value for name, value in row.items() if name not in {"id", "verified_at"}}
        for row in Backup.objects.order_by("sequence").values()
    ]


def test_a_database_that_was_lost_is_rebuilt_from_the_manifests(
    roots: Roots, backups: list[Backup], capsys: pytest.CaptureFixture[str]
) -> None:
    before = rows()
    Backup.objects.all().delete()
    ids = [backup.backup_id for backup in backups]
    assert rescan(roots, capsys, well=True) == {"added": ids}
    assert rows() == before
    assert all(row.is_intact for row in Backup.objects.all())
    assert rescan(roots, capsys, well=True) == {"known": ids}


def test_what_does_not_verify_is_added_as_that(
    roots: Roots, backups: list[Backup], capsys: pytest.CaptureFixture[str]
) -> None:
    Backup.objects.all().delete()
    first, second, third = backups
    (second.directory / second.archive_name).write_bytes(b"")
    told = rescan(roots, capsys, well=False)
    assert told["added"] == [first.backup_id, third.backup_id]
    assert list(told["damaged"]) == [second.backup_id]
    assert Backup.objects.get(sequence=2).state == "failed"


def test_a_backup_that_is_gone_is_missing_unless_it_was_removed(
    roots: Roots, backups: list[Backup], capsys: pytest.CaptureFixture[str]
) -> None:
    first, second, third = backups
    shutil.rmtree(second.directory)
    told = rescan(roots, capsys, well=False)
    assert told == {
        "known": [first.backup_id, third.backup_id],
        "missing": [second.backup_id],
    }
    second.refresh_from_db()
    assert second.state == "failed"
    Backup.objects.filter(pk=second.pk).update(state="removed")
    assert "missing" not in rescan(roots, capsys, well=True)


def test_a_manifest_that_was_written_anew_is_seen_by_its_row_and_by_the_chain(
    roots: Roots, backups: list[Backup], capsys: pytest.CaptureFixture[str]
) -> None:
    first, second, third = backups
    # Consistent in itself: the first one's whole content under the second one's name.
    for name in (MANIFEST_NAME, first.archive_name):
        shutil.copy(first.directory / name, second.directory / name)
    told = rescan(roots, capsys, well=False)
    assert told["damaged"] == {second.backup_id: REWRITTEN}
    assert list(told["broken_chain"]) == [third.backup_id]


def test_a_manifest_cut_short_is_damaged_and_the_others_are_looked_at(
    roots: Roots, backups: list[Backup], capsys: pytest.CaptureFixture[str]
) -> None:
    first, *rest = backups
    first.manifest_file.write_bytes(first.manifest_file.read_bytes()[:-40])
    told = rescan(roots, capsys, well=False)
    assert list(told["damaged"]) == [first.backup_id]
    assert told["known"] == [backup.backup_id for backup in rest]


def test_a_root_that_was_moved_keeps_its_history(
    roots: Roots, backups: list[Backup], capsys: pytest.CaptureFixture[str]
) -> None:
    moved = Roots(dataset=roots.dataset, backup=roots.backup.rename(roots.backup.parent / "moved"))
    told = rescan(moved, capsys, well=True)
    assert told == {"added": [backup.backup_id for backup in backups]}
    for backup in backups:
        backup.refresh_from_db()
        assert backup.directory.parent == moved.backup
        assert backup.is_intact


def test_a_copy_of_the_root_takes_nothing_from_the_rows(
    roots: Roots, backups: list[Backup], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    shutil.copytree(roots.backup, tmp_path / "usb")
    (tmp_path / "usb" / backups[0].backup_id / backups[0].archive_name).write_bytes(b"")
    copy = Roots(dataset=roots.dataset, backup=tmp_path / "usb")
    (tmp_path / "usb" / backups[1].backup_id / MANIFEST_NAME).write_bytes(b"{}")
    before = rows()
    assert set(rescan(copy, capsys, well=False)) == {"known", "damaged"}
    with pytest.raises(CommandError):
        call_command("verify_backup", str(copy.backup / backups[0].backup_id))
    assert rows() == before


def test_a_backup_under_another_ones_name_is_damaged(
    roots: Roots, backups: list[Backup], capsys: pytest.CaptureFixture[str]
) -> None:
    first = backups[0]
    shutil.copytree(first.directory, roots.backup / f"000009{first.backup_id[6:]}")
    told = rescan(roots, capsys, well=False)
    (said,) = told["damaged"].values()
    assert said.endswith(f"/manifest.jsonl' is the manifest of {first.backup_id}")


def test_one_that_is_gone_with_its_row_is_told(
    roots: Roots, backups: list[Backup], capsys: pytest.CaptureFixture[str]
) -> None:
    first, second, third = backups
    shutil.rmtree(second.directory)
    Backup.objects.filter(pk=second.pk).delete()
    told = rescan(roots, capsys, well=True)
    assert list(told["gone"]) == [third.backup_id]
    assert second.backup_id in told["gone"][third.backup_id]
    assert first.backup_id in told["known"]


def forged(backup: Backup, change: Callable[[dict[str, Any], dict[str, Any]], object]) -> None:
    """Write a manifest that adds up, with another head and end, and forget its row."""
    first, *files, last = map(json.loads, backup.manifest_file.read_bytes().splitlines())
    change(first, last)
    lines = b"".join(json.dumps(line).encode() + b"\n" for line in (first, *files))
    last["lines_sha256"] = hashlib.sha256(lines).hexdigest()
    backup.manifest_file.write_bytes(lines + json.dumps(last).encode() + b"\n")
    Backup.objects.filter(pk=backup.pk).delete()


@pytest.mark.parametrize(
    "change",
    [
        lambda head, _: head.update(previous_id=["a"]),
        lambda head, _: head.update(created_at="9999-12-31T23:59:59-14:00"),
        lambda head, _: head.update(generation=10**30),
        lambda head, _: head.update(backup_id="000077-20260101T000000Z-abcdef"),
        lambda _, end: end.update(changed=10**30),
        lambda _, end: end["archive"].update(size=10**30),
        lambda _, end: end["archive"].update(name="../../etc/passwd"),
        lambda _, end: end["archive"].update(name="manifest.jsonl"),
    ],
)
def test_one_manifest_that_is_nonsense_hides_no_other(
    roots: Roots,
    backups: list[Backup],
    capsys: pytest.CaptureFixture[str],
    change: Callable[[dict[str, Any], dict[str, Any]], object],
) -> None:
    first, second, third = backups
    forged(first, change)
    Backup.objects.all().delete()
    told = rescan(roots, capsys, well=False)
    assert told["added"] == [second.backup_id, third.backup_id]
    assert list(told["damaged"]) == [first.backup_id]


def test_what_no_database_takes_as_it_is_is_taken_in_words(
    roots: Roots, backups: list[Backup], capsys: pytest.CaptureFixture[str]
) -> None:
    forged(backups[2], lambda head, _: head.update(tool="\udcff" * 200))
    told = rescan(roots, capsys, well=True)
    assert told["added"] == [backups[2].backup_id]


@pytest.mark.parametrize("where", ["manifest", "archive"])
def test_what_is_no_file_holds_nobody_up(
    roots: Roots, backups: list[Backup], capsys: pytest.CaptureFixture[str], where: str
) -> None:
    first, *_ = backups
    name = MANIFEST_NAME if where == "manifest" else first.archive_name
    (first.directory / name).unlink()
    os.mkfifo(first.directory / name)
    (roots.backup / ("9" * 30 + first.backup_id[6:])).mkdir()
    Backup.objects.all().delete()
    told = rescan(roots, capsys, well=False)
    assert len(told["added"]) == 2
    assert "it is no file" in told["damaged"][first.backup_id]


def test_a_root_at_work_and_one_that_is_none_are_refused(roots: Roots) -> None:
    with backup_lock(roots.backup), pytest.raises(CommandError, match="is being maintained"):
        call_command("backup_rescan", "--backup-root", str(roots.backup))
    with pytest.raises(CommandError, match="is no directory: give --backup-root"):
        call_command("backup_rescan", "--backup-root", str(roots.backup / "no"))
