"""`manage.py ledger`: the account of every job's ticks, and the proof that it closes."""

import json
from argparse import ArgumentParser
from collections import Counter
from datetime import date, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.dateparse import parse_datetime, parse_duration

from scheduling.clock import database_now
from scheduling.conf import conf
from scheduling.ledger import Account, Trouble, accounts
from scheduling.recurrence.contract import EPOCH
from scheduling.table import table
from scheduling.tally import start_of
from scheduling.verdicts import INSTANT

SINCE = "2026-01-31T09:00:00Z, a UTC day such as 2026-01-31, or an age such as 01:00:00 or '7 days'"


class Command(BaseCommand):
    """Print planned ticks, verdicts and open runs per job."""

    help = (
        "Print every job's account: planned ticks = verdicts + open runs. "
        "With --check, exit with 1 when an account does not close."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Say which part of the ledger, and how to print it."""
        parser.add_argument("--job", help="only this job id")
        parser.add_argument("--since", help=f"only ticks after this: {SINCE}")
        parser.add_argument("--check", action="store_true", help="exit with 1 on a discrepancy")
        parser.add_argument("--json", action="store_true", help="one JSON document on stdout")

    def handle(self, *args: Any, **options: Any) -> None:
        """Compute, print, judge."""
        del args
        now = database_now()
        found = accounts(
            conf.SCHEDULER_SCOPE,
            now=now,
            job_id=options["job"],
            since=_instant(options["since"], now),
        )
        if options["job"] and not found:
            raise CommandError(
                f"no job {options['job']!r} in scope {conf.SCHEDULER_SCOPE!r}: "
                "without --job the command lists them all"
            )
        self.stdout.write(_as_json(found) if options["json"] else _as_text(found))
        if options["check"] and not all(account.closes for account in found):
            raise SystemExit(1)


def _instant(text: str | None, now: datetime) -> datetime | None:
    """Read --since; raise CommandError saying what is wrong with it."""
    if text is None:
        return None
    try:
        instant = _start_of_day(text) or parse_datetime(text) or _ago(text, now)
    except (ValueError, OverflowError) as error:
        raise CommandError(f"--since {text!r}: {error}: give {SINCE}") from error
    if instant is None:
        raise CommandError(f"--since {text!r} is no time: give {SINCE}")
    if instant.tzinfo is None:
        raise CommandError(f"--since {text!r} has no zone: add one, such as {text}Z")
    if instant > now:
        raise CommandError(f"--since {text!r} is in the future: it is {now:%Y-%m-%dT%H:%M:%SZ} now")
    return max(instant, EPOCH)  # nothing was planned before


def _start_of_day(text: str) -> datetime | None:
    try:
        return start_of(date.fromisoformat(text)) - INSTANT
    except ValueError:
        return None


def _ago(text: str, now: datetime) -> datetime | None:
    age = parse_duration(text)  # of an empty text it says zero
    return now - age if age else None


def _as_json(found: list[Account]) -> str:
    jobs = [
        {
            "scope": account.scope,
            "job_id": account.job_id,
            "planned": account.planned,
            "verdicts": dict(sorted(account.verdicts.items())),
            "open": account.open,
            "unplanned": dict(sorted(account.unplanned.items())),
            "whole_days_from": account.whole_days_from and account.whole_days_from.isoformat(),
            "closes": account.closes,
            "problems": account.problems,
            "problems_found": account.problems_found,
        }
        for account in found
    ]
    totals = {
        "planned": sum(account.planned for account in found),
        "verdicts": sum(account.verdicts.total() for account in found),
        "open": sum(account.open for account in found),
    }
    return json.dumps({"jobs": jobs, **totals, "closes": all(a.closes for a in found)}, indent=2)


def _as_text(found: list[Account]) -> str:
    heads = ("job", "planned", "verdicts", "open", "unplanned", "account")
    rows = [
        (
            account.job_id,
            account.planned,
            _counts(account.verdicts) or "none",
            account.open,
            _counts(account.unplanned) or "-",
            "closes" if account.closes else "DOES NOT CLOSE",
        )
        for account in found
    ]
    return "\n".join([table(heads, rows), *_widened(found), *_problems(found), _sum(found)])


def _counts(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))


def _widened(found: list[Account]) -> list[str]:
    """Say where --since lies in pruned history, of which only whole days are known."""
    days = {account.whole_days_from for account in found if account.whole_days_from}
    if not days:
        return []
    jobs = [account.job_id for account in found if account.whole_days_from]
    which = jobs[0] if len(jobs) == 1 else f"{len(jobs)} jobs"
    begin = f"Counted from {min(days)} 00:00 UTC for {which}"
    return [f"{begin}: history as old as that is pruned, and its totals are by whole days."]


def _problems(found: list[Account]) -> list[str]:
    lines = []
    for account in found:
        lines += [f"{account.job_id}: {problem}" for problem in account.problems]
        if (more := account.problems_found - len(account.problems)) > 0:
            lines.append(f"{account.job_id}: and {more} more")
    troubles = set[Trouble]().union(*(account.troubles for account in found))
    return lines + [trouble.value for trouble in Trouble if trouble in troubles]


def _sum(found: list[Account]) -> str:
    planned = sum(account.planned for account in found)
    closed = sum(account.closes for account in found)
    return f"{planned} planned ticks; {closed} of {len(found)} accounts close."
