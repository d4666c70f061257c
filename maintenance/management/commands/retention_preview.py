"""`manage.py retention_preview`: what the policies would remove now, and why the rest stays."""

import argparse
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from maintenance.errors import MaintenanceError
from maintenance.models import current_keeping
from maintenance.preview import preview_backups, preview_maintenance
from retention.errors import RetentionError
from retention.models import current_policy
from scheduling.table import table

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
            backups = preview_backups(*places, current_keeping(), now=now)
            files = preview_maintenance(*places, current_policy(), now=now)
        except (MaintenanceError, RetentionError) as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            self.stdout.write(json.dumps({**backups, "files": files}, indent=2))
            return
        self.stdout.write(_backups_in_words(backups) if backups["enabled"] else NOT_ENABLED)
        self.stdout.write(_files_in_words(files))


def _backups_in_words(preview: dict[str, Any]) -> str:
    judged = preview["backups"]
    summary = (
        f"{preview['going']} of {len(judged)} backups would go, {preview['going_bytes']} bytes"
    )
    if not judged:
        return summary
    rows = [
        (item["backup_id"], item["purpose"], item["stored_bytes"], _verdict(item))
        for item in judged
    ]
    return (
        f"{summary}{_gap_in_words(preview)}\n"
        f"{table(('backup', 'purpose', 'bytes', 'verdict'), rows)}"
    )


def _gap_in_words(preview: dict[str, Any]) -> str:
    now, after = preview["gap_seconds"], preview["gap_after_seconds"]
    if not preview["going"] or after is None or after == now:
        return ""
    times = f"{timedelta(seconds=now)} to {timedelta(seconds=after)}"
    return f"; the longest time between two copies grows from {times}"


def _verdict(item: dict[str, Any]) -> str:
    return "goes" if item["goes"] else f"stays: {', '.join(item['stays_because'])}"


def _files_in_words(files: dict[str, Any]) -> str:
    figures = files["retention"]
    return (
        f"{figures['expired_candidates']} of {figures['scanned_files']} files have expired, "
        f"{files['expired_bytes']} bytes, {files['beyond_the_policy']}; "
        "`maintain --path dataset --dry-run` lists them"
    )
