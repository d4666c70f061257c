"""`manage.py retention_preview`: what the policies would remove now, and why the rest stays."""

import argparse
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from maintenance.models import BackupKeeping, current_keeping
from maintenance.preview import gap_in_words, preview_policies
from retention.keeping import KeepingPolicy
from scheduling.table import table

NOT_ENABLED = "no keeping policy is enabled: nothing is removed"


class Command(BaseCommand):
    """Changes nothing. Exits 1 where something could not be looked at."""

    help = "Say which backups and which files the policies would remove now, and why others stay."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the paths and the switch."""
        parser.add_argument("--dataset-root", default=settings.DATASET_ROOT)
        parser.add_argument("--backup-root", default=settings.BACKUP_ROOT)
        parser.add_argument(
            "--keeping", metavar="NAME", help="as if this backup keeping were the enabled one"
        )
        parser.add_argument("--json", action="store_true", help="write JSON")

    def handle(self, **options: Any) -> None:
        """Look, and show."""
        places = options["dataset_root"], options["backup_root"]
        keeping = _keeping_named(options["keeping"]) if options["keeping"] else current_keeping
        told = preview_policies(*places, now=datetime.now(UTC), keeping=keeping)
        errors = [part["error"] for part in told.values() if part and "error" in part]
        if options["json"]:
            backups = told.pop("backups")
            self.stdout.write(json.dumps({**backups, **told}, indent=2))
        else:
            for in_words, part in zip(IN_WORDS, told.values(), strict=True):
                if part and "error" not in part:
                    self.stdout.write(in_words(part))
        if errors:
            raise CommandError("\n".join(dict.fromkeys(errors)))


def _keeping_named(name: str) -> Callable[[], KeepingPolicy | None]:
    row = BackupKeeping.objects.filter(name=name).first()
    if row is None:
        names = ", ".join(BackupKeeping.objects.values_list("name", flat=True)) or "none"
        raise CommandError(f"no backup keeping is called {name!r}; there are: {names}")
    return row.as_policy


def _backups_in_words(preview: dict[str, Any]) -> str:
    if not preview["enabled"]:
        return NOT_ENABLED
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
        f"{'; '.join(filter(None, (summary, gap_in_words(preview))))}\n"
        f"{table(('backup', 'purpose', 'bytes', 'verdict'), rows)}"
    )


def _verdict(item: dict[str, Any]) -> str:
    return "goes" if item["goes"] else f"stays: {', '.join(item['stays_because'])}"


def _files_in_words(files: dict[str, Any]) -> str:
    return _counted(files, "have expired", "dataset")


def _file_retention_in_words(files: dict[str, Any]) -> str:
    return _counted(files, "are too old", "files")


def _counted(files: dict[str, Any], are: str, path: str) -> str:
    figures = files["retention"]
    return (
        f"{figures['expired_candidates']} of {figures['scanned_files']} files {are}, "
        f"{files['expired_bytes']} bytes, {files['beyond_the_policy']}; "
        f"`maintain --path {path} --dry-run` lists them"
    )


IN_WORDS = (_backups_in_words, _files_in_words, _file_retention_in_words)
