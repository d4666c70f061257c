"""`manage.py fetch_backup`: bring a backup back from its copy elsewhere."""

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from maintenance.copies import current_remote, fetch_backup
from maintenance.durable import make_directory
from maintenance.errors import MaintenanceError
from maintenance.progress import shown_on_terminal


class Command(BaseCommand):
    """Exits 1 when there is no such copy, or when it is not whole."""

    help = (
        "Bring a backup back from the place that OPS_BACKUP_COPY_URL names, and verify it. "
        "Without an id: list what is there."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the backup, where to, and the switch."""
        parser.add_argument("backup", metavar="ID", nargs="?")
        parser.add_argument("--backup-root", type=Path, default=settings.BACKUP_ROOT)
        parser.add_argument("--json", action="store_true", help="write JSON")

    def handle(self, **options: Any) -> None:
        """Fetch or list."""
        root: Path = options["backup_root"]
        try:
            if options["backup"] is None:
                ids = current_remote().backup_ids()
                if not ids:
                    raise CommandError(f"no backup is at {settings.OPS_BACKUP_COPY_URL}")
                self.stdout.write(json.dumps(ids) if options["json"] else "\n".join(ids))
                return
            make_directory(root)
            with shown_on_terminal():
                row = fetch_backup(options["backup"], root.resolve(), now=datetime.now(UTC))
        except OSError as error:
            raise CommandError(f"{str(root)!r} cannot be made ({error.strerror})") from error
        except MaintenanceError as error:
            raise CommandError(str(error)) from error
        told = {"backup_id": row.backup_id, "state": row.state, "files": row.file_count}
        line = f"{row.backup_id} is back and {row.state}: {row.file_count} files"
        self.stdout.write(json.dumps(told) if options["json"] else line)
