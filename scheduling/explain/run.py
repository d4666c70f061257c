"""The gates of a run, in the order in which the engine asks."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from scheduling.ending import UNSTARTABLE
from scheduling.engine.publishing.message import is_routed
from scheduling.engine.recover import UNSTARTABLE_GRACE
from scheduling.explain.facts import Facts
from scheduling.explain.gate import Explanation, Gate, closed, opened
from scheduling.models import Office, Run
from scheduling.models.office import OfficeState
from scheduling.queues import is_own_queue
from scheduling.states import FINAL, RAN, RunState
from scheduling.transitions import BEFORE_THE_START

INSTANT = "%Y-%m-%d %H:%M:%S %Z"
NO_BEAT = (
    "if this lasts, start a beat: celery -A opsproject beat; "
    "if one is there, see on the health page whether the broker answers"
)
# Of a run, so that one column that cannot be read hides nothing here.
EXPLAINED = (
    *("name", "scope", "job_id", "office_id", "role", "state", "reason", "queue", "routing"),
    *("unmet", "attempt", "error", "error_code", "created_at", "not_before", "next_attempt_at"),
    *("ready_at", "expires_at", "queued_at", "published_at", "started_at"),
    *("reporting", "deadline_at"),
)
MOST_NAMED = 20  # dependencies and holders that are named one by one


def explain_run(run: Run, *, now: datetime) -> Explanation:
    """Return why a run is not running, or that it is."""
    (found,) = explain_runs([run], now=now)
    return found


def explain_runs(runs: Sequence[Run], *, now: datetime) -> list[Explanation]:
    """Return it of many runs, in their order, at the cost of one."""
    if not runs:
        return []
    facts = Facts.of(runs, now=now)
    return [_explain(run, facts, now) for run in runs]


def _explain(run: Run, facts: Facts, now: datetime) -> Explanation:
    named = f"run {run.name} {run.pk}" if run.name else f"run {run.pk}"
    gates = list(_gates(run, facts, now))
    return Explanation(what=named, state=run.state, gates=gates, note=_note(run))


def _note(run: Run) -> str:
    if run.state in FINAL:
        return _why_ended(run)
    if run.state == RunState.RUNNING and run.started_at is not None:
        return f"attempt {run.attempt}, since {run.started_at:{INSTANT}}"
    return ""


def _why_ended(run: Run) -> str:
    told = run.error.strip().partition("\n")[0]
    why = ": ".join(dict.fromkeys(filter(None, (run.reason, told))))
    return f"{why}; retry it by POST …/retry or in the admin" if run.state in RAN and told else why


def _gates(run: Run, facts: Facts, now: datetime) -> Iterator[Gate]:
    match run.state:
        case RunState.PENDING:
            waits = [*_dependencies(run, facts), _time(run, now), *_slots(run, facts, now)]
            yield from waits
            if all(gate.open for gate in waits):
                yield _beat(run)
        case RunState.READY:
            waits = [*_slots(run, facts, now)]
            if all(gate.open for gate in waits):
                waits.append(_order(run, facts))
            yield from waits
            if all(gate.open for gate in waits):
                yield _beat(run)
        case RunState.QUEUED:
            yield from _queued(run, facts)
        case RunState.STOPPING:
            yield closed(
                "stopping",
                "its process is being stopped, and holds the slot until it is gone",
                remedy="if its host is gone, it ends by itself soon",
            )


def _dependencies(run: Run, facts: Facts) -> Iterator[Gate]:
    awaited = facts.unmet.get(run.pk, [])
    for other in awaited[:MOST_NAMED]:
        yield closed(
            "dependency",
            f"it waits for {_name(other)}, which is {other.state}",
            since=run.created_at,
            remedy=f"see why {other.pk} is not done",
        )
    if (more := len(awaited) - MOST_NAMED) > 0:
        yield closed("dependency", f"it waits for {more} more runs", since=run.created_at)
    if not awaited:
        yield opened("dependency", "it waits for no other run")


def _time(run: Run, now: datetime) -> Gate:
    if run.next_attempt_at is not None and run.next_attempt_at > now:
        why = f": {run.error_code}" if run.error_code else ""
        return closed(
            "retry",
            f"attempt {run.attempt} failed{why}; the next one has its time",
            until=run.next_attempt_at,
            remedy="wait, or cancel it and then retry it",
        )
    if run.not_before is not None and run.not_before > now:
        return closed("not_before", "its time has not come", until=run.not_before)
    return opened("not_before", "its time has come")


def _slots(run: Run, facts: Facts, now: datetime) -> Iterator[Gate]:
    office = facts.office(run)
    if office is not None:
        yield _office_state(office)
    if run.job_id is not None and (job := facts.jobs.get(run.job_id)) is not None:
        held = facts.holding(lambda o: o.job_id == run.job_id and not o.has_let_go(now))
        yield _limit("job_slot", f"job {job.job_id}", job.max_parallel, held, "max_parallel")
    if office is None:
        return
    theirs = facts.holding(lambda o: (o.scope, o.office_id) == (run.scope, run.office_id))
    if office.max_concurrent is not None:
        named = f"office {office.office_id}"
        yield _limit("office_slot", named, office.max_concurrent, theirs, "max_concurrent_jobs")
    most = facts.role_limits.get((office.pk, run.role)) if run.role else None
    if most is not None:
        held = [other for other in theirs if other.role == run.role]
        named = f"role {run.role} of office {office.office_id}"
        yield _limit("role_slot", named, most, held, "max_concurrent_by_role")


def _office_state(office: Office) -> Gate:
    if office.state == OfficeState.ACTIVE:
        return opened("office", f"office {office.office_id} is active")
    return closed(
        "office", f"office {office.office_id} is {office.state}", remedy="set its state to active"
    )


def _limit(name: str, whose: str, most: int, held: Sequence[Run], setting: str) -> Gate:
    if len(held) < most:
        return opened(name, f"{whose} has {most - len(held)} of {most} slots free")
    holders = ", ".join(_holder(run) for run in held[:MOST_NAMED])
    slots = "its one slot" if most == 1 else f"all {most} slots"
    return closed(
        name,
        f"{whose} has {slots} taken: {holders}",
        since=max(filter(None, (run.queued_at for run in held)), default=None),
        remedy=f"wait for what holds it, cancel that, or raise {setting}",
    )


def _order(run: Run, facts: Facts) -> Gate:
    if run.pk in facts.claimable:
        return opened("order", "it is among the next in the order of priority and age")
    return closed(
        "order",
        "others are ahead of it in the order of priority and age",
        since=run.ready_at,
        remedy="give it a lower priority number",
    )


def _beat(run: Run) -> Gate:
    says = (
        "it is free to start: a turn of a beat, or a worker that ends something, takes it"
        if run.state == RunState.READY
        else "it waits for nothing any more: the next turn of a beat makes it ready"
    )
    since = run.ready_at or run.created_at
    return closed("beat", says + _given_up(run), since=since, remedy=NO_BEAT)


def _holder(run: Run) -> str:
    since = run.started_at or run.queued_at
    return f"{_name(run)} ({run.state}" + (f" since {since:{INSTANT}})" if since else ")")


def _name(run: Run) -> str:
    return f"{run.name} {run.pk}" if run.name else f"run {run.pk}"


def _queued(run: Run, facts: Facts) -> Iterator[Gate]:
    refused = run.error if run.error_code in BEFORE_THE_START else ""
    if run.published_at is None:
        yield closed(
            "message",
            refused or "the broker has not taken its message yet",
            since=run.queued_at,
            remedy="do what the text says"
            if refused
            else "see on the health page whether the broker answers",
        )
        return
    yield opened("message", f"its message went to {_address(run)}")
    if run.is_out_of_hand:
        yield closed(
            "report",
            f"its worker on {_address(run)} has not reported its end",
            since=run.published_at,
            until=run.deadline_at,
            remedy="see whether it is alive, and calls mark_job_run: that is POST last-run",
        )
        return
    says, remedy = _waits_for(run, refused, facts)
    yield closed(
        "worker",
        says + (_fails(run) if run.error_code in UNSTARTABLE else _given_up(run)),
        since=run.published_at,
        remedy=remedy,
    )


def _address(run: Run) -> str:
    if is_routed(run):
        return f"the exchange {run.routing['exchange']}, key {run.routing['routing_key']}"
    return f"the queue {run.queue}"


def _waits_for(run: Run, refused: str, facts: Facts) -> tuple[str, str]:
    """Return what a message waits for, and what would help."""
    if refused:
        return refused, "start a worker that knows its task and serves its queue"
    if run.reporting:
        return (
            f"no foreign worker on {_address(run)} has started it",
            "see whether that worker is alive and starts its runs by JobReporter",
        )
    if is_routed(run) or not is_own_queue(run.queue, run.scope):
        return f"whoever takes from {_address(run)} has not", "see whether its workers are alive"
    if processes := sum(worker.concurrency for worker in facts.serving(run.queue)):
        return (
            f"its message waits for one of {processes} processes on the queue {run.queue}",
            "if they are busy for long, start another worker",
        )
    return (
        f"no live worker serves the queue {run.queue}",
        f"start one: celery -A opsproject worker -Q {run.queue}",
    )


def _fails(run: Run) -> str:
    """Say when it fails for want of a worker that knows its task."""
    expires_at = run.expires_at if run.attempt <= 1 else None
    grace = run.queued_at + UNSTARTABLE_GRACE if run.queued_at else None
    until = min(filter(None, (expires_at, grace)), default=None)
    return f"; it fails at {until:{INSTANT}}" if until else ""


def _given_up(run: Run) -> str:
    """Say when it expires; only a first attempt does (SPEC A9)."""
    if run.expires_at is None or run.attempt > 1:
        return ""
    return f"; it is given up at {run.expires_at:{INSTANT}}"
