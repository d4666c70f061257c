"""`manage.py ledger`: the account of every job's ticks, and the proof that it closes."""

import json
from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils.dateparse import parse_datetime, parse_duration

from scheduling.clock import database_now
from scheduling.ledger import Account, accounts
from scheduling.table import table


class Command(BaseCommand):
    """Print planned ticks, verdicts and open runs per job."""

    help = (
        "Print every job's account: planned ticks = verdicts + open runs. "
        "With --check, exit with 1 when an account does not close."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Say which part of the ledger, and how to print it."""
        parser.add_argument("--job", help="only this job id")
        parser.add_argument(
            "--since", help="only ticks after this: an ISO 8601 instant, or an age such as 01:00:00"
        )
        parser.add_argument("--check", action="store_true", help="exit with 1 on a discrepancy")
        parser.add_argument("--json", action="store_true", help="one JSON document on stdout")

    def handle(self, *args: Any, **options: Any) -> None:
        """Compute, print, judge."""
        del args
        now = database_now()
        found = accounts(
            settings.SCHEDULER_SCOPE,
            now=now,
            job_id=options["job"],
            since=_instant(options["since"], now),
        )
        if options["job"] and not found:
            raise CommandError(f"no job {options['job']!r} in scope {settings.SCHEDULER_SCOPE!r}")
        self.stdout.write(_as_json(found) if options["json"] else _as_table(found))
        if options["check"] and not all(account.closes for account in found):
            raise SystemExit(1)


def _instant(text: str | None, now: datetime) -> datetime | None:
    if text is None:
        return None
    try:
        if instant := parse_datetime(text):
            if instant.tzinfo is None:
                raise CommandError(f"--since {text!r} has no zone: add one, such as {text}Z")
            return instant
        if age := parse_duration(text):
            return now - age
    except ValueError as error:
        raise CommandError(f"--since {text!r}: {error}") from error
    raise CommandError(f"--since {text!r}: give 2026-01-31T09:00:00Z or an age such as 01:00:00")


def _as_json(found: list[Account]) -> str:
    jobs = [
        {
            "scope": account.scope,
            "job_id": account.job_id,
            "planned": account.planned,
            "verdicts": dict(sorted(account.verdicts.items())),
            "open": account.open,
            "closes": account.closes,
            "problems": account.problems,
        }
        for account in found
    ]
    totals = {
        "planned": sum(account.planned for account in found),
        "verdicts": sum(account.verdicts.total() for account in found),
        "open": sum(account.open for account in found),
    }
    return json.dumps({"jobs": jobs, **totals, "closes": all(a.closes for a in found)}, indent=2)


def _as_table(found: list[Account]) -> str:
    rows = [
        (
            account.job_id,
            account.planned,
            ", ".join(f"{name} {n}" for name, n in sorted(account.verdicts.items())) or "none",
            account.open,
            "closes" if account.closes else "DOES NOT CLOSE",
        )
        for account in found
    ]
    lines = [table(("job", "planned", "verdicts", "open", "account"), rows)]
    lines += [f"{account.job_id}: {problem}" for account in found for problem in account.problems]
    total = sum(account.planned for account in found)
    closed = sum(account.closes for account in found)
    lines.append(f"{total} planned ticks; {closed} of {len(found)} accounts close.")
    return "\n".join(lines)
