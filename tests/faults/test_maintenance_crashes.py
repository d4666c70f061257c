"""What a crash left open is settled by the next run; when it may crash, test_crash_points says."""

import hashlib
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from maintenance.roots import Roots
from maintenance.runner import run_maintenance_automation
from retention.files import printable
from retention.models import Deletion
from retention.policies import DataRetentionPolicy
from retention.removal import ASIDE

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def roots(tmp_path: Path) -> Roots:
    return Roots(dataset=tmp_path / "data", backup=tmp_path / "backups")


def _fill(roots: Roots) -> dict[str, str]:
    """Make an old dataset anew and return the hash of every file."""
    hashes = {}
    for number in range(4):
        file = roots.dataset / "raw" / str(number % 2) / os.fsdecode(b"%d\n\xff" % number)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(os.urandom(2_000))
        old = (datetime.now(UTC) - timedelta(days=8)).timestamp()
        os.utime(file, (old, old))
        hashes[str(file.relative_to(roots.dataset))] = _sha256(file)
    return hashes


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _maintain(roots: Roots) -> str:
    return run_maintenance_automation(roots.dataset, roots.backup, DataRetentionPolicy())["status"]


def test_a_deletion_that_a_crash_left_open_is_concluded_by_the_next_run(roots: Roots) -> None:
    original = _fill(roots)
    gone, present = sorted(original)[:2]
    status = (roots.dataset / present).stat()
    for path in (gone, present):
        Deletion.objects.create(
            root=str(roots.dataset),
            path=path.encode("utf-8", "backslashreplace").decode(),
            size_bytes=status.st_size,
            sha256="0" * 64,
            fingerprint=f"{status.st_size}:{status.st_mtime_ns}:{status.st_ino}",
            reason="expired",
            planned_at=datetime.now(UTC),
        )
    (roots.dataset / gone).unlink()
    earlier = list(Deletion.objects.order_by("pk"))

    _maintain(roots)

    earlier[0].refresh_from_db()
    assert earlier[0].deleted_at is not None
    assert not Deletion.objects.filter(pk=earlier[1].pk).exists()  # withdrawn: it was still there
    assert Deletion.objects.filter(deleted_at=None).count() == 0


@pytest.mark.parametrize("half_back", [True, False])
def test_a_file_that_a_crash_left_set_aside_gets_its_name_back(
    roots: Roots, *, half_back: bool
) -> None:
    file = roots.dataset / "raw" / os.fsdecode(b"a\n\xff")
    file.parent.mkdir(parents=True)
    file.write_bytes(b"took the place of what was backed up")
    aside = file.with_name(ASIDE + hashlib.sha256(os.fsencode(file.name)).hexdigest()[:16])
    (aside.hardlink_to if half_back else file.rename)(file if half_back else aside)
    Deletion.objects.create(
        root=str(roots.dataset),
        path=printable(f"raw/{file.name}"),
        size_bytes=1,
        sha256="0" * 64,
        fingerprint="1:1:1",
        reason="expired",
        planned_at=datetime.now(UTC),
    )

    assert _maintain(roots) == "nothing_to_do"

    assert list(file.parent.iterdir()) == [file]
    assert file.read_bytes() == b"took the place of what was backed up"
