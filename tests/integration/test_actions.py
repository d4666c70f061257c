"""What operators do, and the trail it leaves."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import DurationField
from django.test import override_settings

from opsproject.env import Target
from scheduling.actions.audit import Operator
from scheduling.actions.change_job import change_job
from scheduling.actions.change_policy import change_policy
from scheduling.actions.create_job import NewJob, create_job
from scheduling.actions.delete_job import delete_job
from scheduling.actions.pause_job import pause_job
from scheduling.actions.reset_breaker import reset_breaker
from scheduling.actions.resume_job import resume_job
from scheduling.actions.sync_targets import sync_targets
from scheduling.actions.trigger_run import trigger_run
from scheduling.clock import database_now
from scheduling.engine.pauses import end_pauses
from scheduling.engine.plan import plan_due_jobs
from scheduling.engine.schedules import Schedule
from scheduling.errors import DuplicateJob, InvalidJob
from scheduling.ledger import account_of
from scheduling.models import (
    AuditEntry,
    Job,
    JobStatus,
    Pause,
    Run,
    ScheduleEpoch,
    SkippedTicks,
)
from scheduling.recurrence import Interval
from scheduling.states import RunState
from tests.claims import claim_all
from tests.conftest import JobMaker

pytestmark = pytest.mark.django_db


def test_the_standing_jobs_are_made_once() -> None:
    assert {job.job_id for job in sync_targets()} == {
        "pipeline",
        "broker_heartbeat",
        "dashboard_update",
        "backup_maintenance",
    }
    assert sync_targets() == []


def target(**given: int) -> Target:
    return Target.model_validate({"callable": "a.b", "interval_ms": 60_000, **given})


def test_a_target_of_the_setting_becomes_a_job_with_its_numbers() -> None:
    numbers = {"interval_ms": 1_500, "error_backoff_ms": 7_000, "max_consecutive_errors": 9}
    with override_settings(OPS_TARGETS={"mine": target(**numbers)}):
        (job,) = sync_targets()
    schedule = ScheduleEpoch.objects.get(job=job).recurrence()
    assert isinstance(schedule, Interval)
    assert (schedule.every, job.retry_base) == (timedelta(seconds=1.5), timedelta(seconds=7))
    assert (job.max_consecutive_errors, job.params) == (9, {"name": "mine"})


def test_once_a_targets_job_is_there_its_row_decides(operator: Operator) -> None:
    with override_settings(OPS_TARGETS={"mine": target()}):
        (job,) = sync_targets()
    change_policy(job, operator, {"retry_base": timedelta(seconds=11)})
    before = Job.objects.values().get()
    changed = {"interval_ms": 5_000, "error_backoff_ms": 1, "max_consecutive_errors": 1}
    with override_settings(OPS_TARGETS={"mine": target(**changed)}):
        assert sync_targets() == []
    assert Job.objects.values().get() == before
    assert ScheduleEpoch.objects.count() == 1


def test_a_duplicate_id_is_refused_and_keeps_nothing(
    make_job: JobMaker, operator: Operator
) -> None:
    make_job("a")
    with pytest.raises(DuplicateJob, match="'a' exists"):
        create_job(NewJob(scope="real", job_id="a", task="t"), operator)
    assert Job.objects.count() == 1


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"job_id": "no spaces please"}, "job_id"),
        ({"task": ""}, "task"),
        ({"queue": "mock.jobs.a"}, "queue"),
        ({"max_consecutive_errors": 0}, "max_consecutive_errors"),
    ],
)
def test_a_value_that_does_not_fit_is_named(
    given: dict[str, object], named: str, operator: Operator
) -> None:
    values = {"scope": "real", "job_id": "a", "task": "t", **given}
    with pytest.raises(InvalidJob) as refused:
        create_job(NewJob(**values), operator)  # type: ignore[arg-type] # wrong on purpose
    assert refused.value.field == named
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    ("queue", "name"),
    [("", "real.jobs.a"), ("jobs.shared", "real.jobs.shared"), ("real.x", "real.x")],
)
def test_a_queue_carries_its_scope(queue: str, name: str, operator: Operator) -> None:
    job = create_job(NewJob(scope="real", job_id="a", task="t", queue=queue), operator)
    assert job.queue == name


def test_a_manual_run_does_not_move_the_schedule(make_job: JobMaker, operator: Operator) -> None:
    job = make_job(params={"a": 1, "b": 2})
    run = trigger_run(job, operator, params={"b": 3})
    assert (run.params, run.scheduled_for, run.trigger) == ({"a": 1, "b": 3}, None, "manual")
    due = job.next_due_at
    job.refresh_from_db()
    assert job.next_due_at == due


def test_the_same_key_gives_the_same_run(make_job: JobMaker, operator: Operator) -> None:
    job = make_job()
    first = trigger_run(job, operator, idempotency_key="k")
    assert trigger_run(job, operator, idempotency_key="k").pk == first.pk
    assert trigger_run(make_job("other"), operator, idempotency_key="k").pk != first.pk
    assert Run.objects.count() == 2


def test_a_paused_job_skips_its_ticks_and_says_so(make_job: JobMaker, operator: Operator) -> None:
    job = make_job()
    due = job.next_due_at
    assert due is not None
    pause_job(job, operator, reason="maintenance")
    plan_due_jobs("real", now=due + timedelta(seconds=20))
    assert not Run.objects.exists()
    skipped = SkippedTicks.objects.get()
    assert (skipped.reason, skipped.count) == ("paused", 3)


def test_a_pause_takes_back_what_has_not_started(make_job: JobMaker, operator: Operator) -> None:
    job = make_job()
    assert job.next_due_at is not None
    plan_due_jobs("real", now=job.next_due_at)
    pause_job(job, operator)
    run = Run.objects.get()
    assert (run.state, run.reason) == (RunState.SKIPPED, "paused")


def test_a_pause_swallows_nothing_that_was_due_before_it(
    make_job: JobMaker, operator: Operator
) -> None:
    job = make_job(every=1, misfire="all")
    began = database_now() - timedelta(seconds=2_500)
    Job.objects.update(planned_until=began, next_due_at=began + timedelta(seconds=1))
    ScheduleEpoch.objects.update(
        from_at=began, spec={"anchor": began.isoformat(), "every_seconds": 1}
    )
    pause_job(job, operator)
    assert not SkippedTicks.objects.filter(reason="paused").exists()
    assert Run.objects.count() >= 2_400


def test_run_now_waits_for_the_jobs_slots(make_job: JobMaker, operator: Operator) -> None:
    job = make_job(max_parallel=2)
    runs = [trigger_run(job, operator) for _ in range(3)]
    now = database_now()
    assert [run.pk for run in claim_all(now=now)] == [run.pk for run in runs[:2]]
    Run.objects.filter(pk=runs[0].pk).update(state=RunState.DONE, finished_at=now)
    assert [run.pk for run in claim_all(now=now)] == [runs[2].pk]


def test_run_now_works_on_a_paused_job(make_job: JobMaker, operator: Operator) -> None:
    job = make_job()
    pause_job(job, operator)
    assert trigger_run(job, operator).state == RunState.READY


def test_a_new_pause_takes_the_place_of_the_old_one(make_job: JobMaker, operator: Operator) -> None:
    job = make_job()
    soon = database_now() + timedelta(hours=1)
    pause_job(job, operator, reason="first", until=soon)
    later = soon + timedelta(hours=8)
    pause_job(job, operator, reason="second", until=later)
    active = Pause.objects.get(ended_at=None)
    assert (active.reason, active.until_at) == ("second", later)
    entry = AuditEntry.objects.filter(action="pause_job").latest("id")
    assert entry.before == {"reason": "first", "until": soon.isoformat()}


def test_a_resumed_job_runs_again(make_job: JobMaker, operator: Operator) -> None:
    job = make_job()
    pause_job(job, operator)
    resume_job(job, operator)
    assert job.next_due_at is not None
    plan_due_jobs("real", now=job.next_due_at)
    assert Run.objects.count() == 1
    assert Pause.objects.get().ended_by == "tester"


def test_a_pause_with_an_end_resumes_by_itself(make_job: JobMaker, operator: Operator) -> None:
    job = make_job()
    due = job.next_due_at
    assert due is not None
    pause_job(job, operator, until=due + timedelta(seconds=15))
    later = due + timedelta(seconds=20)
    assert end_pauses("real", now=later) == 1
    plan_due_jobs("real", now=later)
    assert SkippedTicks.objects.get().count == 2
    assert Run.objects.get().scheduled_for == later
    assert account_of(job.pk, now=later).closes


def test_a_pause_into_the_past_is_refused(make_job: JobMaker, operator: Operator) -> None:
    with pytest.raises(InvalidJob, match="not in the future"):
        pause_job(make_job(), operator, until=database_now() - timedelta(seconds=1))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"timeout": timedelta(seconds=-5)}, "timeout"),
        ({"misfire_grace": timedelta(seconds=-1)}, "misfire_grace"),
        ({"expires_after": timedelta(0)}, "expires_after"),
        ({"expires_after": timedelta(seconds=1.5)}, "expires_after"),
        ({"retry_base": timedelta(60), "retry_cap": timedelta(30)}, "retry_cap"),
        ({"misfire": "skip", "misfire_grace": timedelta(0)}, "misfire_grace"),
        ({"misfire": "all", "catch_up_window": timedelta(0)}, "catch_up_window"),
        ({"misfire": "all", "catch_up_window": timedelta(seconds=59)}, "catch_up_window"),
        ({"description": "a\x00b"}, "description"),
        ({"next_due_at": None}, "next_due_at"),
    ],
)
def test_what_contradicts_or_cannot_be_is_refused_and_named(
    make_job: JobMaker, operator: Operator, changes: dict[str, object], named: str
) -> None:
    with pytest.raises(InvalidJob) as refused:
        change_policy(make_job(), operator, changes)
    assert refused.value.field == named


FIELDS = Job._meta.get_fields()  # noqa: SLF001 Django's documented name
DURATIONS = [field.name for field in FIELDS if isinstance(field, DurationField)]


@pytest.mark.parametrize("name", DURATIONS)
def test_a_duration_beyond_all_calendars_is_refused(
    make_job: JobMaker, operator: Operator, name: str
) -> None:
    with pytest.raises(InvalidJob, match=r"Give at most \d+ years") as refused:
        change_policy(make_job(), operator, {name: timedelta(days=10_000_000)})
    assert refused.value.field == name


@pytest.mark.parametrize("name", [name for name in DURATIONS if name != "next_delay"])
def test_the_longest_duration_is_stored_in_job_and_row(
    make_job: JobMaker, operator: Operator, name: str
) -> None:
    years = 68 if name == "expires_after" else 100
    longest = timedelta(days=int(years * 365.25))
    job = make_job(retry_cap=longest, catch_up_window=longest)
    change_policy(job, operator, {name: longest})
    assert job.next_due_at is not None
    plan_due_jobs("real", now=job.next_due_at)
    assert Run.objects.exists()


def beyond_all_calendars(job: Job) -> None:
    """Let the end of a tripped job's cool-down be no date, as an older release would."""
    Job.objects.filter(pk=job.pk).update(breaker_cooldown=timedelta(days=10_000_000))
    JobStatus.objects.update(tripped_at=database_now(), consecutive_errors=3)


def set_the_cooldown(job: Job, operator: Operator) -> None:
    change_policy(job, operator, {"breaker_cooldown": timedelta(seconds=10)})


@pytest.mark.parametrize("mend", [set_the_cooldown, reset_breaker])
def test_a_job_that_was_set_aside_is_planned_again_once_its_policy_can_be(
    make_job: JobMaker, operator: Operator, mend: Callable[[Job, Operator], object]
) -> None:
    job = make_job()
    beyond_all_calendars(job)
    assert job.next_due_at is not None
    plan_due_jobs("real", now=job.next_due_at)
    job.refresh_from_db()
    assert job.schedule_error
    assert job.next_due_at is None
    mend(job, operator)
    job.refresh_from_db()
    assert job.schedule_error == ""
    later = database_now() + timedelta(minutes=5)
    assert plan_due_jobs("real", now=later) == 1
    assert account_of(job.pk, now=later).closes


def test_what_fell_due_while_a_job_was_aside_is_settled_before_its_mode_changes(
    make_job: JobMaker, operator: Operator
) -> None:
    job = make_job(every=1)
    began = database_now() - timedelta(seconds=30)
    Job.objects.update(next_due_at=None, schedule_error="out of order", planned_until=began)
    ScheduleEpoch.objects.update(
        from_at=began, spec={"anchor": began.isoformat(), "every_seconds": 1}
    )
    change_policy(job, operator, {"reschedule_mode": "queue", "misfire": "all"})
    assert account_of(job.pk, now=database_now()).closes
    assert Run.objects.filter(scheduled_for__isnull=False).count() >= 1


def reschedule(job: Job, operator: Operator) -> None:
    hourly = Schedule(recurrence=Interval(database_now(), timedelta(hours=1)))
    change_job(job, operator, {}, schedule=hourly)


def reschedule_and_mend(job: Job, operator: Operator) -> None:
    hourly = Schedule(recurrence=Interval(database_now(), timedelta(hours=1)))
    change_job(job, operator, {"misfire": "all"}, schedule=hourly)


def switch_off(job: Job, operator: Operator) -> None:
    change_job(job, operator, {"enabled": False})


@pytest.mark.parametrize("change", [reschedule, reschedule_and_mend, switch_off, delete_job])
def test_what_fell_due_while_a_job_was_aside_is_settled_before_its_account_ends(
    make_job: JobMaker, operator: Operator, change: Callable[[Job, Operator], object]
) -> None:
    job = make_job(every=1)
    began = database_now() - timedelta(seconds=30)
    Job.objects.update(next_due_at=None, schedule_error="out of order", planned_until=began)
    ScheduleEpoch.objects.update(
        from_at=began, spec={"anchor": began.isoformat(), "every_seconds": 1}
    )
    change(job, operator)
    account = account_of(job.pk, now=database_now())
    assert account.closes
    assert account.planned >= 29


def test_an_error_that_only_the_row_can_mend_stays(make_job: JobMaker, operator: Operator) -> None:
    job = make_job(every=None)
    Job.objects.update(schedule_error="kwargs: not JSON")
    change_policy(job, operator, {"priority": 3})
    job.refresh_from_db()
    assert job.schedule_error == "kwargs: not JSON"


@pytest.mark.parametrize(
    "changes",
    [
        {"misfire": "skip", "misfire_grace": timedelta(seconds=1)},
        {"misfire": "all", "catch_up_window": timedelta(seconds=60)},
        {"misfire": "once", "misfire_grace": timedelta(0), "catch_up_window": timedelta(0)},
    ],
)
def test_a_policy_that_just_lets_ticks_run_is_taken(
    make_job: JobMaker, operator: Operator, changes: dict[str, object]
) -> None:
    change_policy(make_job(), operator, changes)


def test_a_reason_that_no_database_stores_is_refused(
    make_job: JobMaker, operator: Operator
) -> None:
    with pytest.raises(InvalidJob, match="NUL"):
        pause_job(make_job(), operator, reason="a\x00b")


@pytest.mark.parametrize(
    ("params", "problem"),
    [
        ({"a": {1}}, "params: has a set, which JSON cannot say: use"),
        ({"a": [{"b": timedelta(1)}]}, "params: has a timedelta, which JSON cannot say: use"),
        ({"a": {1: 2}}, "params: has a key that is no text: write it as one"),
        ({("a", "b"): 1}, "params: has a key that is no text: write it as one"),
        (["a"], "params: are no object: give each value a name"),
    ],
)
def test_params_that_json_cannot_say_are_refused_with_the_remedy(
    params: Any, problem: str, make_job: JobMaker, operator: Operator
) -> None:
    with pytest.raises(InvalidJob, match=problem):
        trigger_run(make_job(), operator, params=params)
    assert not Run.objects.exists()


def test_a_changed_policy_is_audited_with_before_and_after(
    make_job: JobMaker, operator: Operator
) -> None:
    change_policy(make_job(), operator, {"timeout": timedelta(minutes=5)})
    entry = AuditEntry.objects.get(action="change_policy")
    assert (entry.actor, entry.door, entry.target) == ("tester", "test", "real:job")
    assert (entry.before, entry.after) == ({"timeout": 1800.0}, {"timeout": 300.0})


def test_a_policy_that_does_not_fit_changes_nothing(make_job: JobMaker, operator: Operator) -> None:
    job = make_job()
    with pytest.raises(InvalidJob, match="max_parallel"):
        change_policy(job, operator, {"max_parallel": 0, "priority": 5})
    job.refresh_from_db()
    assert (job.max_parallel, job.priority) == (1, 0)
