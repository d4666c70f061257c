"""What a dataset may hold, and where it may lie: both maintenance paths take it or say why not."""

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from maintenance.coordinator import run_maintenance
from maintenance.manifest import Manifest
from maintenance.models import Backup
from maintenance.outcome import KeptFile
from maintenance.restore import restore_backup
from maintenance.roots import Roots
from maintenance.runner import run_maintenance_automation
from maintenance.verify import verify_backup
from retention.policies import DataRetentionPolicy, FileRetentionPolicy
from tests.backups import make_roots, put
from tests.cluster import CHECKOUT

pytestmark = pytest.mark.django_db
Maintain = Callable[[Roots], str]
GIB = 1 << 30
NOBODY = 65_534


def by_category(roots: Roots) -> str:
    """Return why the run failed, '' if it did not."""
    return run_maintenance_automation(roots.dataset, roots.backup, DataRetentionPolicy()).get(
        "error", ""
    )


def by_age(roots: Roots) -> str:
    """Return the same of the second path."""
    return run_maintenance(roots.dataset, roots.backup, FileRetentionPolicy()).failure


both_paths = pytest.mark.parametrize("maintain", [by_category, by_age])
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user")


@pytest.fixture
def roots(tmp_path: Path) -> Roots:
    return make_roots(tmp_path)


def as_nobody(maintain: Maintain, roots: Roots, owned: Roots | None = None) -> str:
    """Run it as a user who owns both roots and has no other rights."""
    owned = owned or roots
    for path in (owned.dataset, owned.backup):
        os.chown(path, NOBODY, NOBODY)
    for path in owned.dataset.parents:
        if "pytest" in str(path):
            path.chmod(path.stat().st_mode | 0o011)
    Backup.objects.exists()  # opens the database while one may
    os.seteuid(NOBODY)
    try:
        return maintain(roots)
    finally:
        os.seteuid(0)


@both_paths
def test_a_root_that_is_no_directory_is_named_with_the_remedy(
    roots: Roots, maintain: Maintain
) -> None:
    roots.dataset.rmdir()
    assert f"{str(roots.dataset)!r} is not a directory: create it or mount it" in maintain(roots)
    roots.dataset.touch()
    assert f"{str(roots.dataset)!r} is not a directory: create it or mount it" in maintain(roots)


@as_root
@both_paths
def test_a_root_that_may_not_be_read_is_named(roots: Roots, maintain: Maintain) -> None:
    old = put(roots, "raw/a", days_old=9)
    roots.dataset.chmod(0o300)
    error = as_nobody(maintain, roots)
    assert f"{str(roots.dataset)!r} cannot be used (Permission denied)" in error
    assert old.exists()


@as_root
@both_paths
def test_a_backup_root_that_may_not_be_written_is_named(roots: Roots, maintain: Maintain) -> None:
    old = put(roots, "raw/a", days_old=9)
    roots.backup.chmod(0o500)
    error = as_nobody(maintain, roots)
    assert str(roots.backup) in error
    assert "Permission denied" in error
    assert old.exists()


@as_root
@both_paths
def test_a_root_behind_what_may_not_be_entered_is_named(roots: Roots, maintain: Maintain) -> None:
    (roots.dataset / "locked").mkdir(mode=0)
    behind = Roots(dataset=roots.dataset / "locked" / "data", backup=roots.backup)
    assert "cannot be looked at (Permission denied)" in as_nobody(maintain, behind, roots)
    behind = Roots(dataset=roots.dataset, backup=roots.dataset / "locked" / "backups")
    assert "Permission denied" in as_nobody(maintain, behind, roots)


@both_paths
def test_a_name_that_no_file_system_takes_is_told(roots: Roots, maintain: Maintain) -> None:
    long = Roots(dataset=roots.dataset / ("x" * 300), backup=roots.backup)
    assert "File name too long" in maintain(long)


@as_root
@both_paths
def test_a_directory_that_may_not_be_read_is_told(roots: Roots, maintain: Maintain) -> None:
    put(roots, "raw/locked/a", days_old=9)
    put(roots, "raw/b", days_old=9)
    os.chown(roots.dataset / "raw", NOBODY, NOBODY)
    (roots.dataset / "raw" / "locked").chmod(0)
    if maintain is by_age:
        assert "'raw/locked' is unreadable: Permission denied" in as_nobody(maintain, roots)
        return
    kept: list[KeptFile] = []

    def kept_by_category(roots: Roots) -> str:
        result = run_maintenance_automation(roots.dataset, roots.backup, DataRetentionPolicy())
        kept.extend(result["deletion"]["kept"])
        return result.get("error", "")

    assert as_nobody(kept_by_category, roots) == ""
    assert kept == [{"path": "raw/locked", "reason": "unreadable: Permission denied"}]


def test_a_tree_deeper_than_pythons_stack(roots: Roots) -> None:
    handle = os.open(roots.dataset, os.O_RDONLY)
    for _ in range(300):
        os.mkdir("raw", dir_fd=handle)
        below = os.open("raw", os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = below
    file = os.open("a", os.O_WRONLY | os.O_CREAT, dir_fd=handle)
    os.utime(file, (0, 0))
    os.close(file)
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(400)  # a third of it is pytest's own
    try:
        assert by_category(roots) == ""
    finally:
        sys.setrecursionlimit(limit)
    with pytest.raises(FileNotFoundError):
        os.stat("a", dir_fd=handle)
    os.close(handle)
    assert Backup.objects.get().file_count == 1


@both_paths
def test_the_roots_in_each_other(roots: Roots, maintain: Maintain) -> None:
    old = put(roots, "raw/a", days_old=9)
    reverse = Roots(dataset=roots.dataset, backup=roots.dataset.parent)
    assert "choose a backup root that does not contain the dataset" in maintain(reverse)
    assert old.exists()
    inside = Roots(dataset=roots.dataset, backup=roots.dataset / "raw" / "backups")
    assert maintain(inside) == ""
    assert maintain(inside) == ""
    assert not old.exists()
    for backup in Backup.objects.all():
        manifest = verify_backup(backup.manifest_file)
        assert all("backups" not in file.path for file in manifest.files())


@both_paths
def test_what_is_no_file_is_listed_and_left(roots: Roots, maintain: Maintain) -> None:
    put(roots, "raw/a", days_old=9)
    raw = roots.dataset / "raw"
    (raw / "here").symlink_to(".")
    (raw / "ping").symlink_to("pong")
    (raw / "pong").symlink_to("ping")
    os.mkfifo(raw / "pipe")
    kinds = {"here": "symbolic link", "ping": "symbolic link", "pong": "symbolic link"}
    kinds |= {"pipe": "named pipe", "socket": "socket"}
    if os.geteuid() == 0:
        os.mknod(raw / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        os.mknod(raw / "disk", stat.S_IFBLK | 0o600, os.makedev(7, 250))
        kinds |= {"null": "character device", "disk": "block device"}
    here = Path.cwd()
    with socket.socket(socket.AF_UNIX) as listener:
        os.chdir(raw)  # the path of a socket may not be long
        try:
            listener.bind("socket")
        finally:
            os.chdir(here)
        assert maintain(roots) == ""
    assert {entry.name for entry in raw.iterdir()} == kinds.keys()
    lines = Backup.objects.get().manifest_file.read_text().splitlines()
    if maintain is by_age:  # the other one backs up what expired, and nothing else
        for name, kind in kinds.items():
            assert f'{{"kind":"skipped","path":"raw/{name}","reason":"{kind}"}}' in lines


@both_paths
def test_each_name_of_a_file_is_a_file(roots: Roots, maintain: Maintain, tmp_path: Path) -> None:
    one = put(roots, "raw/one", b"twice", days_old=9)
    os.link(one, roots.dataset / "raw" / "two")
    assert maintain(roots) == ""
    assert list((roots.dataset / "raw").iterdir()) == []
    restore_backup(Backup.objects.get().manifest_file, tmp_path / "back")
    assert [(tmp_path / "back" / "raw" / name).read_bytes() for name in ("one", "two")] == [
        b"twice"
    ] * 2


def test_a_file_beyond_4_gib(roots: Roots) -> None:
    """It is sparse, and so takes no room here; its size does not fit into 32 bits."""
    big = put(roots, "raw/big", days_old=9)
    with big.open("r+b") as file:
        file.seek(4 * GIB)
        file.write(b"end")
    old = (datetime.now(UTC) - timedelta(days=9)).timestamp()
    os.utime(big, (old, old))
    assert by_category(roots) == ""
    assert not big.exists()
    backup = Backup.objects.get()
    assert backup.total_bytes == 4 * GIB + 3
    (listed,) = Manifest.read(backup.manifest_file).files()
    assert listed.found.size_bytes == 4 * GIB + 3  # as the run has read it back


def test_memory_does_not_grow_with_the_number_of_files(tmp_path: Path) -> None:
    """A million of them are what `python -m benchmarks backups` scans."""
    few, many = (_megabytes_of(tmp_path / str(count), count) for count in (500, 6_000))
    assert many - few < 3


def _megabytes_of(place: Path, count: int) -> float:
    place.mkdir()
    roots = make_roots(place)
    put(roots, "raw/0", days_old=9)
    for number in range(1, count):
        directory = roots.dataset / "raw" / f"in-{number % 20}"
        directory.mkdir(exist_ok=True)
        os.link(roots.dataset / "raw" / "0", directory / f"{number:05}")
    database = {"DATABASE_URL": f"sqlite:///{place}/db", "OPS_DATA_DIR": str(place)}
    done = subprocess.run(
        [sys.executable, "-c", MAINTAIN, str(roots.dataset), str(roots.backup), str(count)],
        cwd=CHECKOUT,
        env={**os.environ, **database, "DJANGO_SETTINGS_MODULE": "opsproject.settings"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return float(done.stdout.splitlines()[-1])


MAINTAIN = f"""
import sys
import resource
import django
django.setup()
from django.core.management import call_command
from maintenance.runner import run_maintenance_automation
from retention.policies import DataRetentionPolicy
call_command("migrate", verbosity=0)
dataset, backups, count = sys.argv[1:]
result = run_maintenance_automation(dataset, backups, DataRetentionPolicy())
assert result["deletion"]["deleted_files"] == int(count), result
kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(kib / {1 << 10})
"""
