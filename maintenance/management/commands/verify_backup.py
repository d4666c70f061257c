"""`manage.py verify_backup`: read a backup back against its manifest."""

import argparse
import json
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from maintenance.errors import MaintenanceError
from maintenance.manifest import Manifest
from maintenance.progress import shown_on_terminal
from maintenance.records import accept_backup, named_backup, recheck_backup
from scheduling.actions.audit import Operator


class Command(BaseCommand):
    """Exits 1 when the backup does not hold what its manifest lists."""

    help = "Verify a backup, given by its id or by the path of its directory."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the backup and the switch."""
        parser.add_argument("backup", metavar="ID|PATH")
        parser.add_argument(
            "--accept", action="store_true", help="what is odd about it is right: clean up again"
        )
        parser.add_argument("--json", action="store_true", help="write JSON")

    def handle(self, **options: Any) -> None:
        """Verify and show the verdict."""
        try:
            with shown_on_terminal():
                manifest = recheck_backup(options["backup"], now=datetime.now(UTC))
            row = named_backup(options["backup"]).row
            if options["accept"] and row is not None:
                accept_backup(row, Operator(actor="command line", door="command"))
        except MaintenanceError as error:
            if options["json"]:
                self.stdout.write(
                    json.dumps({"verified": False, "code": error.code, "error": str(error)})
                )
            raise CommandError(str(error)) from error
        suspicion = row.suspicion if row else ""
        told = {**_verdict(manifest), "suspicion": suspicion}
        line = _line(manifest) + (", and accepted" if options["accept"] and row else "")
        self.stdout.write(json.dumps(told) if options["json"] else line)
        if suspicion and not options["json"]:
            self.stdout.write(suspicion)


def _verdict(manifest: Manifest) -> dict[str, Any]:
    archive = manifest.totals.stored.archive
    return {
        "verified": True,
        "backup_id": manifest.header.backup_id,
        "purpose": manifest.header.purpose,
        "created_at": manifest.header.created_at.isoformat(),
        "files": manifest.totals.file_count,
        "bytes": manifest.totals.total_bytes,
        "strategy": manifest.header.strategy,
        "archive_sha256": archive.sha256 if archive else None,
    }


def _line(manifest: Manifest) -> str:
    header, totals = manifest.header, manifest.totals
    return f"{header.backup_id} is whole: {totals.file_count} files, {totals.total_bytes} bytes"
