"""`manage.py chaos`: kill a busy cluster's processes at random, and prove that nothing is lost."""

import sys
from argparse import ArgumentParser
from collections.abc import Mapping
from secrets import randbelow
from typing import Any

from django.core.management.base import BaseCommand

from opsproject.chaos.apart import is_apart, move_apart
from opsproject.chaos.conduct import conduct
from opsproject.chaos.errors import ChaosError
from opsproject.chaos.plan import BROKERS, DATABASES, KINDS, Plan

REFUSED = 2  # as manage.py ends with what cannot be tried; 1 is for what was found


class Command(BaseCommand):
    """Runs on servers and in a directory of its own; never touches an installation."""

    help = (
        "Run a cluster of its own on free ports in a temporary directory, kill its processes at "
        "random, then check the whole history. Exit 1 if a tick is missing or doubled, a limit "
        "was broken or anything else must not be. Ctrl-C ends the killing and still checks."
    )
    requires_system_checks = ()  # they look at the operator's settings, which play no part

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Say for how long, on what, and who is to be killed."""
        add = parser.add_argument
        add("--minutes", type=float, default=1.0, help="how long to kill (default 1)")
        add("--kill", default="beat,worker,broker", help=f"whom: any of {','.join(KINDS)}")
        add("--database", choices=DATABASES, default="sqlite")
        add("--broker", choices=tuple(BROKERS), default="valkey")
        add("--beats", type=int, default=3, help="how many beats run at once (default 3)")
        add("--workers", type=int, default=3, help="how many workers (default 3)")
        add("--offices", type=int, default=3, help="how many get work all the while (default 3)")
        add("--kills-per-minute", type=float, default=20.0, help="on average (default 20)")
        add("--freeze", action="store_true", help="also SIGSTOP workers past their lease")
        add("--seed", type=int, help="draw the same moments and victims again")
        add("--keep", action="store_true", help="keep the directory even if nothing was found")
        add("--quiet", action="store_true", help="no progress, as where there is no terminal")

    def handle(self, *_args: Any, keep: bool, quiet: bool, **options: Any) -> None:
        """Move to a world of its own first; exit 1 for what was found, 2 for what cannot be."""
        plan = plan_of(options)
        tell = _nothing if quiet or not self.stdout.isatty() else self._show
        try:
            plan.require_possible()
            if not is_apart():
                flags = [*(["--keep"] if keep else []), *(["--quiet"] if quiet else [])]
                move_apart(plan, flags)
            clean = conduct(plan, show=self._show, tell=tell, keep=keep)
        except ChaosError as error:
            self.stderr.write(f"error: {error}")
            sys.exit(REFUSED)
        sys.exit(0 if clean else 1)

    def _show(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()


def plan_of(options: Mapping[str, Any]) -> Plan:
    """Return what the options say; without a seed a new one is drawn."""
    seed = options["seed"]
    return Plan(
        seed=randbelow(1_000_000) if seed is None else seed,
        kill=tuple(kind for kind in options["kill"].split(",") if kind),
        **{
            name: options[name]
            for name in (
                *("minutes", "database", "broker", "beats", "workers", "offices"),
                *("kills_per_minute", "freeze"),
            )
        },
    )


def _nothing(text: str) -> None:
    del text
