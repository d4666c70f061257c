"""`manage.py explain`: why a job or a run is not running, and what would set it going."""

import json
from argparse import ArgumentParser
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from scheduling.clock import database_now
from scheduling.conf import conf
from scheduling.explain.gate import Explanation
from scheduling.explain.job import explain_job
from scheduling.explain.run import EXPLAINED, INSTANT, explain_run
from scheduling.models import Job, Run
from scheduling.storable import storable
from scheduling.table import table


class Command(BaseCommand):
    """Print the first gate that is closed, then all of them in the order of asking."""

    help = "Say why a job or a run is not running: what holds it back, since when, what opens it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Say of what, and how to print it."""
        parser.add_argument("id", help="the id of a job or of a run")
        parser.add_argument("--json", action="store_true", help="one JSON document on stdout")

    def handle(self, *args: Any, **options: Any) -> None:
        """Find it, explain, print."""
        del args
        found = _explained(options["id"], now=database_now())
        self.stdout.write(_as_json(found) if options["json"] else _as_text(found))


def _explained(name: str, *, now: datetime) -> Explanation:
    scope = conf.SCHEDULER_SCOPE
    if (run_id := _run_id(name)) is not None:
        run = Run.objects.in_scope(scope).filter(pk=run_id).only(*EXPLAINED).first()
        if run is not None:
            return explain_run(run, now=now)
    job = Job.objects.in_scope(scope).filter(job_id=storable(name)).first()
    if job is None:
        raise CommandError(
            f"no job and no run {name!r} in scope {scope!r}: "
            "manage.py ledger lists the jobs, the admin the runs"
        )
    return explain_job(job, now=now)


def _run_id(name: str) -> UUID | None:
    try:
        return UUID(name)
    except ValueError:
        return None


def _as_json(found: Explanation) -> str:
    blocking = asdict(found.blocking) if found.blocking else None
    told = {**asdict(found), "blocking": blocking}
    return json.dumps(told, indent=2, default=datetime.isoformat)


def _as_text(found: Explanation) -> str:
    lines = [f"{found.what}: {found.state}" + (f" ({found.note})" if found.note else "")]
    gate = found.blocking
    if gate is not None:
        lines += ["", f"{gate.name}: {gate.says}"]
        times = (("since", gate.since), ("until", gate.until))
        lines += [f"  {word} {at:{INSTANT}}" for word, at in times if at]
        lines += [f"  to change that: {gate.remedy}"] if gate.remedy else []
    if found.gates:
        rows = [(g.name, "open" if g.open else "CLOSED", g.says) for g in found.gates]
        lines += ["", table(("gate", "", "what it says"), rows)]
    return "\n".join(lines)
