"""`manage.py maintain`: run, or preview, a maintenance path by hand."""

import argparse
import json
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from maintenance.errors import MaintenanceError
from maintenance.outcome import MaintenanceResult, failure_in_words
from maintenance.preview import preview_maintenance
from maintenance.runner import run_maintenance_automation
from retention.errors import RetentionError
from retention.models import current_policy


class Command(BaseCommand):
    """Exits 1 when the run failed, and says what it had deleted until then."""

    help = "Back up what expired, verify the backup, then delete what it holds. 1: the run failed."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the paths and the two switches."""
        parser.add_argument("--path", choices=["dataset"], required=True, help="which path to run")
        parser.add_argument("--dataset-root", default=settings.DATASET_ROOT)
        parser.add_argument("--backup-root", default=settings.BACKUP_ROOT)
        parser.add_argument("--dry-run", action="store_true", help="say what would go, do nothing")
        parser.add_argument("--json", action="store_true", help="write JSON")

    def handle(self, **options: Any) -> None:
        """Run and show the result."""
        roots = options["dataset_root"], options["backup_root"]
        try:
            policy = current_policy()
            if options["dry_run"]:
                preview = preview_maintenance(*roots, policy, now=datetime.now(UTC))
                self._show(preview, _preview_lines(preview), as_json=options["json"])
                return
        except (MaintenanceError, RetentionError) as error:
            raise CommandError(str(error)) from error
        result = run_maintenance_automation(*roots, policy)
        self._show(result, _result_lines(result), as_json=options["json"])
        if result["status"] == "backup_failed":
            raise CommandError(failure_in_words(result))

    def _show(self, result: Any, lines: list[str], *, as_json: bool) -> None:
        self.stdout.write(json.dumps(result, indent=2) if as_json else "\n".join(lines))


def _preview_lines(preview: dict[str, Any]) -> list[str]:
    figures = preview["retention"]
    summary = (
        f"{figures['expired_candidates']} of {figures['scanned_files']} files would go, "
        f"{preview['unclassified_files']} are named by no word of the policy"
    )
    return [summary, *(f"  {item['category']}  {item['path']}" for item in preview["candidates"])]


def _result_lines(result: MaintenanceResult) -> list[str]:
    figures, deletion, backup = result["retention"], result["deletion"], result["backup"]
    summary = (
        f"{result['status']}: {figures['expired_candidates']} of {figures['scanned_files']} files "
        f"expired, {deletion['deleted_files']} deleted, {len(deletion['kept'])} kept"
    )
    holder = f"  backup {backup['archive_name']} holds {backup['record_count']}" if backup else ""
    kept = [f"  kept {item['path']}: {item['reason']}" for item in deletion["kept"]]
    return [summary, *filter(None, [holder]), *kept]
