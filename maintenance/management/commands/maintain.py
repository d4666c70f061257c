"""`manage.py maintain`: run, or preview, a maintenance path by hand."""

import argparse
import json
from datetime import UTC, datetime
from functools import partial
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from maintenance.compression import Compression
from maintenance.coordinator import run_maintenance
from maintenance.errors import MaintenanceError
from maintenance.file_report import MaintenanceReport
from maintenance.outcome import MaintenanceResult, failure_in_words
from maintenance.preview import preview_files, preview_maintenance
from maintenance.progress import shown_on_terminal
from maintenance.runner import run_maintenance_automation
from retention.errors import RetentionError
from retention.files import printable
from retention.models import current_file_retention, current_policy

PATHS = {"dataset": "what expires by its category", "files": "what is too old, whatever it is"}


class Command(BaseCommand):
    """Exits 1 when the run failed, and says what it had deleted until then."""

    help = (
        "Back up, verify the backup, then delete what has expired and is held by it unchanged. "
        "1: the run failed."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the paths and the switches."""
        parser.add_argument(
            "--path",
            choices=PATHS,
            required=True,
            help="; ".join(f"{name}: {says}" for name, says in PATHS.items()),
        )
        parser.add_argument("--dataset-root", default="")
        parser.add_argument("--backup-root", default=settings.BACKUP_ROOT)
        parser.add_argument(
            "--compression",
            choices=list(map(str, Compression)),
            default=str(Compression.ZSTD),
            help="of the archive of what expires",
        )
        parser.add_argument("--dry-run", action="store_true", help="say what would go, do nothing")
        parser.add_argument("--json", action="store_true", help="write JSON")

    def handle(self, **options: Any) -> None:
        """Run and show the result."""
        roots = options["dataset_root"], options["backup_root"]
        of_path = self._maintain_files
        if options["path"] == "dataset":
            compression = Compression(options["compression"])
            of_path = partial(self._maintain_dataset, compression=compression)
        try:
            with shown_on_terminal():
                result, lines, failure = of_path(*roots, dry_run=options["dry_run"])
        except (MaintenanceError, RetentionError) as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            self.stdout.write(json.dumps(result, indent=2))
        elif lines:
            self.stdout.write("\n".join(lines))
        if failure:
            raise CommandError(failure)

    def _maintain_dataset(
        self, *roots: str, dry_run: bool, compression: Compression
    ) -> tuple[Any, list[str], str]:
        policy, places = current_policy(), (roots[0] or settings.DATASET_ROOT, roots[1])
        if dry_run:
            preview = preview_maintenance(*places, policy, now=datetime.now(UTC))
            return preview, _preview_lines(preview), ""
        result = run_maintenance_automation(*places, policy, compression=compression)
        failed = result["status"] == "backup_failed"
        return result, _result_lines(result), failure_in_words(result) if failed else ""

    def _maintain_files(self, *roots: str, dry_run: bool) -> tuple[Any, list[str], str]:
        row = current_file_retention()
        if row.pk is None and not roots[0]:
            raise CommandError(
                "no file retention is enabled, so name the directory with --dataset-root: what is "
                "older than 7 days would go, whatever it is"
            )
        places = roots[0] or row.data_root or settings.DATASET_ROOT, roots[1]
        if dry_run:
            now = datetime.now(UTC)
            preview = preview_files(*places, row.as_policy(), row.backed_up, now=now)
            return preview, _preview_lines(preview), ""
        report = run_maintenance(*places, row.as_policy(), row.backed_up)
        return report.plain(), _report_lines(report), report.failure


def _preview_lines(preview: dict[str, Any]) -> list[str]:
    figures, candidates = preview["retention"], preview["candidates"]
    size = sum(item["size_bytes"] for item in candidates)
    summary = (
        f"{figures['expired_candidates']} of {figures['scanned_files']} files would go, "
        f"{size} bytes; {preview['beyond_the_policy']}"
    )
    lines = [
        f"  {item.get('category') or item['reason']}  {item['size_bytes']}  {item['path']}"
        for item in candidates
    ]
    return [summary, *lines]


def _result_lines(result: MaintenanceResult) -> list[str]:
    figures, deletion, backup = result["retention"], result["deletion"], result["backup"]
    summary = (
        f"{result['status']}: {figures['expired_candidates']} of {figures['scanned_files']} files "
        f"expired, {deletion['deleted_files']} deleted, {len(deletion['kept'])} kept"
    )
    holder = f"  backup {backup['archive_name']} holds {backup['record_count']}" if backup else ""
    kept = [f"  kept {item['path']}: {item['reason']}" for item in deletion["kept"]]
    return [summary, *filter(None, [holder]), *kept]


def _report_lines(report: MaintenanceReport) -> list[str]:
    cleanup = report.cleanup
    if not report.backup.success and not report.candidates:
        return []
    summary = (
        f"{len(report.candidates)} files are too old, {len(cleanup.deleted)} deleted, "
        f"{len(cleanup.skipped)} kept"
    )
    holder = f"  {report.backup.manifest_path} lists what is backed up"
    kept = [f"  kept {printable(item.path)}: {item.reason}" for item in cleanup.skipped]
    return [summary, *([holder] if report.backup.success else []), *kept]
