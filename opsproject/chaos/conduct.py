"""The whole of a run of chaos, from an empty directory to the verdict."""

import time
from collections.abc import Callable
from threading import Event

from django.core.management import call_command
from django.db import connections

from opsproject.chaos.apart import SCOPE, home, remove_home
from opsproject.chaos.checker import Violation, check
from opsproject.chaos.clients import Clients
from opsproject.chaos.cluster import Cluster
from opsproject.chaos.killer import Killer
from opsproject.chaos.meddling import Meddler
from opsproject.chaos.office_work import make_offices
from opsproject.chaos.plan import Plan
from opsproject.chaos.reading import read_history
from opsproject.chaos.report import Findings, report
from opsproject.chaos.rest import come_to_rest
from opsproject.chaos.watching import Watcher
from opsproject.chaos.workload import make_jobs
from opsproject.launch.stop_request import stop_on_signals
from scheduling.clock import database_now
from scheduling.ledger import accounts
from scheduling.models import Office

TURN_SECONDS = 0.05
PROGRESS_SECONDS = 5.0

Show = Callable[[str], None]


def conduct(plan: Plan, *, show: Show, tell: Show, keep: bool) -> bool:
    """Carry the plan out; `tell` is given the progress, `show` the result.

    Returns whether nothing was found. The directory stays if something was, or if it is to be kept.
    """
    clean = False
    with stop_on_signals() as stop:
        cluster = Cluster(plan, home())
        try:
            findings = _tried(plan, cluster, stop, tell)
            show(f"{plan}\n\n{report(findings)}")
            clean = not findings.violations
        finally:
            connections.close_all()
            cluster.kill()
            if clean and not keep:
                remove_home()
            else:
                show(f"Everything is kept in {home()}: logs/, notes.jsonl, the database.")
    return clean


def _tried(plan: Plan, cluster: Cluster, stop: Event, tell: Show) -> Findings:
    """Start, kill, let settle, stop, judge."""
    tell(f"{plan}, in {cluster.directory}")
    offices = _bring_up(plan, cluster, stop)
    killer, watcher = Killer(plan, cluster), Watcher()
    meddler, clients = Meddler(seed=plan.seed), Clients(offices, seed=plan.seed)
    for thread in (meddler, clients, watcher):
        thread.start()
    _let_loose(plan, killer, watcher, stop=stop, tell=tell)
    meddler.stop()
    clients.stop()
    killer.end()
    rest = come_to_rest(show=tell, meanwhile=killer.tend)
    watcher.stop()
    left = cluster.stop()
    history = read_history(
        meddler=meddler,
        clients=clients,
        watcher=watcher,
        final_changes=rest.changes,
        frozen=plan.freeze,
    )
    seen = [*killer.deaths, *rest.problems, *left]
    return Findings(
        history=history,
        kills=killer.kills,
        actions=meddler.done,
        refused=meddler.refused + clients.refused,
        looks=watcher.looks,
        violations=[
            *check(history),
            *_account_violations(),
            *(Violation("cluster", text) for text in seen),
            *(Violation("operator", text) for text in (*meddler.failures, *clients.failures)),
            *(Violation("watcher", text) for text in watcher.failures),
        ],
    )


def _bring_up(plan: Plan, cluster: Cluster, stop: Event) -> list[Office]:
    cluster.start_servers(stop)
    call_command("migrate", interactive=False, verbosity=0)
    make_jobs()
    offices = make_offices(plan.offices)
    connections.close_all()  # a connection is not for sharing with what is started now
    cluster.start_members()
    return offices


def _let_loose(plan: Plan, killer: Killer, watcher: Watcher, *, stop: Event, tell: Show) -> None:
    """Kill until the time is over or somebody wants it to end."""
    began = time.monotonic()
    told_at = began
    while time.monotonic() < began + plan.minutes * 60 and not stop.wait(TURN_SECONDS):
        killer.turn()
        if time.monotonic() - told_at >= PROGRESS_SECONDS:
            told_at = time.monotonic()
            tell(_progress(told_at - began, killer, watcher))


def _progress(seconds: float, killer: Killer, watcher: Watcher) -> str:
    last = f", last {killer.kills[-1].name}" if killer.kills else ""
    work = f"{watcher.ticks} ticks judged, {watcher.ended} runs ended"
    return f"{seconds:4.0f} s  {len(killer.kills)} kills{last}; {work}"


def _account_violations() -> list[Violation]:
    """Ask the ledger's own proof too."""
    found = []
    for account in accounts(SCOPE, now=database_now()):
        found += [Violation("account", f"{account.job_id}: {text}") for text in account.problems]
        if not account.closes and not account.problems:
            text = f"{account.planned} planned, {account.verdicts.total()} verdicts"
            found.append(Violation("account", f"{account.job_id}: {text}, {account.open} open"))
    return found
