"""Archives that are encrypted with age: whole, or said to be not, and nothing without the key."""

import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyrage
import pytest

from maintenance import encryption
from maintenance.compression import Compression
from maintenance.errors import (
    BackupError,
    BackupUnreadableError,
    EncryptionError,
    VerificationError,
)
from maintenance.manifest import Strategy
from maintenance.models import Backup
from maintenance.records import recheck_backup
from maintenance.rescan import rescan
from maintenance.restore import restore_backup
from maintenance.roots import Roots
from maintenance.runner import run_maintenance_automation
from maintenance.streams import HashingSink
from maintenance.verify import verify_backup
from retention.policies import DataRetentionPolicy
from tests.backups import back_up, make_roots, put

pytestmark = pytest.mark.django_db
SECRET = b"the secret recipe " * 10_000


@pytest.fixture
def roots(tmp_path: Path) -> Roots:
    roots = make_roots(tmp_path)
    put(roots, "recipe", SECRET)
    put(roots, "noise", os.urandom(3 << 20))
    return roots


@pytest.fixture
def key_file(tmp_path: Path, settings: Any) -> Path:
    return use_key(tmp_path / "backup.key", settings)


def use_key(file: Path, settings: Any) -> Path:
    identity = pyrage.x25519.Identity.generate()
    file.write_text(f"# created: today\n# public key: {identity.to_public()}\n{identity}\n")
    settings.OPS_BACKUP_AGE_KEY_FILE = file
    return file


def archive_of(backup: Backup) -> Path:
    return backup.directory / backup.archive_name


@pytest.mark.parametrize("compression", Compression)
def test_what_is_encrypted_verifies_and_comes_back(
    roots: Roots, key_file: Path, tmp_path: Path, compression: Compression
) -> None:
    del key_file
    backup = back_up(roots, compression=compression)
    assert backup.archive_name.endswith(f".{compression}.age")
    assert archive_of(backup).read_bytes().startswith(b"age-encryption.org/v1\n")
    assert backup.state == "verified"
    restore_backup(backup.manifest_file, tmp_path / "to")
    for name in ("recipe", "noise"):
        assert (tmp_path / "to" / name).read_bytes() == (roots.dataset / name).read_bytes()


def test_age_itself_opens_it(roots: Roots, key_file: Path) -> None:
    """The archive is worth something without us: any age, then stock tar."""
    backup = back_up(roots, compression=Compression.GZIP)
    [line] = [one for one in key_file.read_text().splitlines() if one.startswith("AGE-SECRET")]
    identity = pyrage.x25519.Identity.from_str(line)
    plain = pyrage.decrypt(archive_of(backup).read_bytes(), [identity])
    taken = subprocess.run(
        ["tar", "-xzOf", "-", "recipe"], input=plain, capture_output=True, check=True
    )
    assert taken.stdout == SECRET


def test_without_its_key_it_is_not_read_and_not_called_damaged(
    roots: Roots, key_file: Path, settings: Any, tmp_path: Path
) -> None:
    backup = back_up(roots)
    settings.OPS_BACKUP_AGE_KEY_FILE = None
    with pytest.raises(EncryptionError, match="name the file of its key in OPS_BACKUP_AGE_KEY"):
        recheck_backup(backup.backup_id, now=datetime.now(UTC))
    backup.refresh_from_db()
    assert backup.state == "verified"
    use_key(tmp_path / "another.key", settings)
    with pytest.raises(BackupUnreadableError, match=r"this key does not open it .*No matching"):
        recheck_backup(backup.backup_id, now=datetime.now(UTC))
    backup.refresh_from_db()
    assert backup.state == "verified"
    assert key_file.exists()


@pytest.mark.parametrize("cut", [1, 100_000])
def test_what_is_cut_short_or_flipped_is_noticed(roots: Roots, key_file: Path, cut: int) -> None:
    del key_file
    backup = back_up(roots)
    whole = archive_of(backup).read_bytes()
    archive_of(backup).write_bytes(whole[:-cut])
    with pytest.raises(VerificationError):
        verify_backup(backup.manifest_file)
    middle = len(whole) // 2
    archive_of(backup).write_bytes(
        whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    )
    with pytest.raises(VerificationError):
        verify_backup(backup.manifest_file)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read"),
        ("# nothing\n", "has no line AGE-SECRET-KEY-"),
        ("AGE-SECRET-KEY-1NONE\n", "holds a key that is none"),
        ("\xff", "cannot be read"),
    ],
)
def test_a_key_file_that_is_none_deletes_nothing(
    roots: Roots, settings: Any, tmp_path: Path, content: str | None, said: str
) -> None:
    settings.OPS_BACKUP_AGE_KEY_FILE = tmp_path / "backup.key"
    if content is not None:
        settings.OPS_BACKUP_AGE_KEY_FILE.write_text(content, encoding="latin-1")
    old = roots.dataset / "raw"
    old.write_text("x")
    os.utime(old, (0, 0))
    result = run_maintenance_automation(roots.dataset, roots.backup, DataRetentionPolicy())
    assert result["status"] == "backup_failed"
    assert said in result["error"]
    assert "NONE" not in result["error"]
    assert old.exists()
    assert not list(roots.backup.glob(".partial-*"))


def test_a_full_disk_is_said_to_be_one(
    roots: Roots, key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del key_file

    class Full(HashingSink):
        def write(self, _: Any, /) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("maintenance.archive.HashingSink", Full)
    with pytest.raises(BackupError, match="No space left on device"):
        back_up(roots)


def test_a_tree_is_refused_while_a_key_is_set(roots: Roots, key_file: Path) -> None:
    del key_file
    with pytest.raises(BackupError, match="unset OPS_BACKUP_AGE_KEY_FILE"):
        back_up(roots, Strategy.FILE)


def test_without_the_extra_it_is_named(
    roots: Roots, key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del key_file
    monkeypatch.setitem(__import__("sys").modules, "pyrage", None)
    with pytest.raises(EncryptionError, match="uv sync --extra encryption"):
        back_up(roots)
    assert encryption.SUFFIX == ".age"


def test_a_rescan_without_the_key_goes_on_with_the_rest(
    roots: Roots, key_file: Path, settings: Any
) -> None:
    sealed = back_up(roots)
    settings.OPS_BACKUP_AGE_KEY_FILE = None
    plain = back_up(roots)
    Backup.objects.all().delete()
    found = rescan(roots.backup, now=datetime.now(UTC))
    assert found.added == [plain.backup_id]
    assert "OPS_BACKUP_AGE_KEY_FILE" in found.damaged[sealed.backup_id]
    settings.OPS_BACKUP_AGE_KEY_FILE = key_file
    recheck_backup(sealed.backup_id, now=datetime.now(UTC))
    assert Backup.objects.get(backup_id=sealed.backup_id).is_intact
