"""The guide to backups, command by command: what it shows is what the commands say."""

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from opsproject.env import CHECKOUT
from tests.loaded_manage import LoadedManage
from tests.servers import bare_environment

GUIDE = CHECKOUT / "docs/guides/backup.md"
BACKUP_ID = re.compile(r"\d{6}-\d{8}T\d{6}Z-[0-9a-f]{6}")
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
VARIES = re.compile(r"archive of \d+|in \d+\.\d s| +\d+(?=  stays)")
MANAGE = "python3 manage.py "
THREE_WEEKS = timedelta(days=21).total_seconds()


def steps() -> Iterator[tuple[str, str]]:
    """Yield each command of the guide, and what it shows."""
    for block in BLOCK.findall(GUIDE.read_text(encoding="utf-8")):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, shown = part.partition("\n")
            yield command, shown


def make_dataset(root: Path) -> None:
    for path, content, age in (
        ("raw/2026-11-01.csv", "tick 1\n", THREE_WEEKS),
        ("raw/today.csv", "tick 2\n", 0),
        ("decision/2026-11-01.json", "buy\n", THREE_WEEKS),
    ):
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="utf-8")
        changed = file.stat().st_mtime - age
        os.utime(file, (changed, changed))


def test_every_command_says_what_the_guide_shows(tmp_path: Path) -> None:
    make_dataset(tmp_path / ".ops/real/dataset")
    environment = {
        **bare_environment(),
        "DATABASE_URL": f"sqlite:///{tmp_path / 'db.sqlite3'}",
        "OPS_DATA_DIR": str(tmp_path / ".ops/real"),
    }
    with LoadedManage(tmp_path, environment) as manage:
        walk(manage, tmp_path)


def walk(manage: LoadedManage, place: Path) -> None:
    def run(command: str) -> str:
        if command.startswith(MANAGE):
            code, said = manage.run(shlex.split(command.removeprefix(MANAGE)))
        else:
            done = subprocess.run(  # noqa: S602 the guide's own words
                command, shell=True, cwd=place, stdout=subprocess.PIPE, text=True, check=False
            )
            code, said = done.returncode, done.stdout
        assert code == 0, f"{command}\n{said}"
        return said

    run(f"{MANAGE}migrate --verbosity 0")
    ids: dict[str, str] = {}
    for command, shown in steps():
        for documented, real in ids.items():
            command = command.replace(documented, real)  # noqa: PLW2901 the real id in its place
        said = run(command).replace(f"{place}/", "")
        ids |= dict(zip(BACKUP_ID.findall(shown), BACKUP_ID.findall(said), strict=True))
        for documented, real in ids.items():
            said = said.replace(real, documented)
        assert VARIES.sub("…", said) == VARIES.sub("…", shown)
    assert len(ids) == 3
