"""`manage.py backup`: copy the whole dataset now."""

import argparse
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from maintenance.compression import Compression
from maintenance.errors import MaintenanceError
from maintenance.locks import maintenance_lock
from maintenance.manifest import Strategy
from maintenance.models import Backup
from maintenance.progress import shown_on_terminal
from maintenance.roots import checked_roots
from maintenance.snapshot import NoSnapshot, back_up_dataset
from retention.errors import RetentionError
from retention.files import printable


class Command(BaseCommand):
    """Exits 1 when no backup could be made, or a suspect one; 0 where nothing has changed."""

    help = "Copy the whole dataset and verify the copy, unless the last copy is what is there now."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the paths and the switch."""
        parser.add_argument("--dataset-root", default=settings.DATASET_ROOT)
        parser.add_argument("--backup-root", default=settings.BACKUP_ROOT)
        parser.add_argument(
            "--strategy",
            choices=list(map(str, Strategy)),
            default=str(Strategy.ARCHIVE),
            help="one compressed archive, or a tree of files that links what did not change",
        )
        parser.add_argument(
            "--compression",
            choices=list(map(str, Compression)),
            default=str(Compression.ZSTD),
            help="of an archive",
        )
        parser.add_argument("--json", action="store_true", help="write JSON")

    def handle(self, **options: Any) -> None:
        """Copy, and show what the backup is called."""
        try:
            roots = checked_roots(options["dataset_root"], options["backup_root"])
            with maintenance_lock(roots), shown_on_terminal():
                made = back_up_dataset(
                    roots,
                    now=datetime.now(UTC),
                    every=timedelta(0),
                    strategy=Strategy(options["strategy"]),
                    compression=Compression(options["compression"]),
                )
        except (MaintenanceError, RetentionError) as error:
            if options["json"]:
                self.stdout.write(json.dumps({"code": error.code, "error": str(error)}))
            raise CommandError(str(error)) from error
        self.stdout.write(json.dumps(_as_json(made)) if options["json"] else _in_words(made))
        if isinstance(made, Backup) and made.anomaly:
            raise CommandError(made.suspicion)


def _as_json(made: Backup | NoSnapshot) -> dict[str, Any]:
    if isinstance(made, NoSnapshot):
        return {"backup_id": None, "no_backup_because": made.value}
    return {
        "backup_id": made.backup_id,
        "directory": str(made.directory),
        "files": made.file_count,
        "bytes": made.total_bytes,
        "stored_bytes": made.stored_bytes,
        "archive_sha256": made.archive_sha256,
        "skipped": made.skipped_count,
        "state": made.state,
        "anomaly": made.anomaly,
    }


def _in_words(made: Backup | NoSnapshot) -> str:
    if isinstance(made, NoSnapshot):
        return f"no backup was made: {made.value}"
    what = "an archive of" if made.archive_name else "a tree that took"
    return (
        f"{made.backup_id}: {made.file_count} files, {made.total_bytes} bytes in {what} "
        f"{made.stored_bytes}, {made.state}; {made.skipped_count} were no files and are listed in "
        f"{printable(str(made.manifest_file))}"
    )
