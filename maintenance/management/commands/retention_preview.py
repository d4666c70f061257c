"""`manage.py retention_preview`: what the policies would remove now, and why the rest stays."""

import argparse
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from maintenance.errors import MaintenanceError
from maintenance.models import Backup, current_keeping
from maintenance.preview import preview_maintenance
from maintenance.pruning import judged_backups
from maintenance.roots import resolved_roots
from retention.errors import RetentionError
from retention.keeping import Judgement
from retention.models import current_policy
from scheduling.table import table

Judged = Sequence[tuple[Backup, Judgement]]
NOT_ENABLED = "no keeping policy is enabled: nothing is removed"


class Command(BaseCommand):
    """Changes nothing."""

    help = "Say which backups and which files the policies would remove now, and why others stay."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the paths and the switch."""
        parser.add_argument("--dataset-root", default=settings.DATASET_ROOT)
        parser.add_argument("--backup-root", default=settings.BACKUP_ROOT)
        parser.add_argument("--json", action="store_true", help="write JSON")

    def handle(self, **options: Any) -> None:
        """Look, and show."""
        now = datetime.now(UTC)
        places = options["dataset_root"], options["backup_root"]
        try:
            keeping = current_keeping()
            judged = judged_backups(resolved_roots(*places), keeping, now=now) if keeping else []
            files = preview_maintenance(*places, current_policy(), now=now)
        except (MaintenanceError, RetentionError) as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            self.stdout.write(json.dumps({"backups": _as_json(judged), "files": files}, indent=2))
            return
        self.stdout.write(_backups_in_words(judged) if keeping else NOT_ENABLED)
        self.stdout.write(_files_in_words(files))


def _as_json(judged: Judged) -> list[dict[str, Any]]:
    return [
        {
            "backup_id": row.backup_id,
            "purpose": row.purpose,
            "created_at": row.created_at.isoformat(),
            "archive_bytes": row.archive_bytes,
            "goes": judgement.goes,
            "stays_because": list(judgement.reasons),
        }
        for row, judgement in judged
    ]


def _backups_in_words(judged: Judged) -> str:
    going = [row for row, judgement in judged if judgement.goes]
    size = sum(row.archive_bytes for row in going)
    summary = f"{len(going)} of {len(judged)} backups would go, {size} bytes"
    if not judged:
        return summary
    rows = [
        (row.backup_id, row.purpose, row.archive_bytes, _verdict(judgement))
        for row, judgement in judged
    ]
    return f"{summary}\n{table(('backup', 'purpose', 'bytes', 'verdict'), rows)}"


def _verdict(judgement: Judgement) -> str:
    return "goes" if judgement.goes else f"stays: {', '.join(judgement.reasons)}"


def _files_in_words(files: dict[str, Any]) -> str:
    figures = files["retention"]
    size = sum(item["size_bytes"] for item in files["candidates"])
    return (
        f"{figures['expired_candidates']} of {figures['scanned_files']} files have expired, "
        f"{size} bytes, {files['unclassified_files']} are named by no word of the policy; "
        "`maintain --path dataset --dry-run` lists them"
    )
