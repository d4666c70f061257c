"""`manage.py restore_backup`: bring files back from a backup."""

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from maintenance.errors import MaintenanceError
from maintenance.progress import shown_on_terminal
from maintenance.records import restore_named
from maintenance.restore import Restoration
from retention.errors import RetentionError
from retention.files import from_printable, printable


class Command(BaseCommand):
    """Exits 1 when the backup is refused, or when something that differs was kept."""

    help = (
        "Verify a backup, then restore its files below a directory. What is there already is kept "
        "and listed, and the exit code is 1 then, unless --overwrite is said."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the backup, where to, and which of its files."""
        parser.add_argument("backup", metavar="ID|PATH")
        parser.add_argument("--to", required=True, type=Path, metavar="DIR", help="made if missing")
        parser.add_argument(
            "--only",
            action="append",
            default=[],
            metavar="PATH",
            help="a file or directory as the manifest lists it; may be given again",
        )
        parser.add_argument("--overwrite", action="store_true", help="replace files that differ")
        parser.add_argument("--json", action="store_true", help="write JSON")

    def handle(self, **options: Any) -> None:
        """Restore and show what became of the files."""
        only = [from_printable(name).rstrip("/") for name in options["only"]]
        try:
            with shown_on_terminal():
                restoration = restore_named(
                    options["backup"],
                    options["to"],
                    only=only,
                    overwrite=options["overwrite"],
                    now=datetime.now(UTC),
                )
        except (MaintenanceError, RetentionError) as error:
            if options["json"]:
                self.stdout.write(json.dumps({"code": error.code, "error": str(error)}))
            raise CommandError(str(error)) from error
        told = _as_json(restoration)
        self.stdout.write(json.dumps(told, indent=2) if options["json"] else _in_words(restoration))
        if restoration.restored.kept:
            raise CommandError(f"{len(restoration.restored.kept)} files were kept as they are")


def _as_json(restoration: Restoration) -> dict[str, Any]:
    restored = restoration.restored
    return {
        "backup_id": restoration.manifest.header.backup_id,
        "target": str(restoration.target),
        "restored_files": restored.files,
        "restored_bytes": restored.bytes,
        "there_already": restored.there_already,
        "kept": [{"path": printable(kept.path), "reason": kept.reason} for kept in restored.kept],
        "seconds": round(restoration.seconds, 3),
    }


def _in_words(restoration: Restoration) -> str:
    restored = restoration.restored
    summary = (
        f"{restoration.manifest.header.backup_id}: {restored.files} files, {restored.bytes} bytes "
        f"restored to {restoration.target} in {restoration.seconds:.1f} s, "
        f"{restored.there_already} were there already"
    )
    kept = [f"  kept {printable(kept.path)}: {kept.reason}" for kept in restored.kept]
    return "\n".join([summary, *kept])
