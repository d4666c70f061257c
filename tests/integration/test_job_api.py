"""Jobs made, changed and deleted over REST, with the bodies of seed 002 as they were written."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django_celery_beat.models import PeriodicTask

from scheduling.clock import database_now
from scheduling.engine.new_run import new_run
from scheduling.models import AuditEntry, Job, Run, ScheduleEpoch
from scheduling.queues import FOREIGN_TASK
from scheduling.states import RunState, Trigger
from scheduling.transitions import open_runs
from tests.conftest import JobMaker
from tests.offices import make_office
from tests.seed_002 import MOCK, REAL

CELERY = {"job_id": "job", "task": "tests.task", "interval_seconds": 60}


@pytest.fixture
def admin(caller: Any) -> Client:
    client: Client = caller("admin")
    return client


def send(client: Client, method: str, path: str, body: Any = None, **headers: str) -> Any:
    text = body if isinstance(body, str) else json.dumps(body)
    sent = "" if body is None else text
    return client.generic(method, path, sent, content_type="application/json", headers=headers)


def create(client: Client, **fields: Any) -> dict[str, Any]:
    answer = send(client, "POST", "/jobs", {**CELERY, **fields})
    assert answer.status_code == 201, answer.content
    return dict(answer.json())


def job() -> Job:
    return Job.objects.get(job_id="job")


class TestSeedBodies:
    """All ten of §10."""

    @pytest.mark.parametrize("body", REAL, ids=lambda body: json.loads(body)["job_id"])
    def test_a_body_of_the_real_scheduler_is_taken_as_written(
        self, admin: Client, body: str
    ) -> None:
        self.check(admin, body, "real")

    @pytest.mark.parametrize("body", MOCK, ids=lambda body: json.loads(body)["job_id"])
    def test_a_body_of_the_mock_scheduler_is_taken_as_written(
        self, admin: Client, body: str, settings: Any
    ) -> None:
        settings.SCHEDULER_SCOPE = "mock"
        self.check(admin, body, "mock")

    @staticmethod
    def check(admin: Client, body: str, scope: str) -> None:
        answer = send(admin, "POST", "/jobs", body)
        assert answer.status_code == 201, answer.content
        told, given = answer.json(), json.loads(body)
        assert {name: told[name] for name in given if name != "interval_seconds"} == {
            name: value for name, value in given.items() if name != "interval_seconds"
        }
        assert told["interval_seconds"] == given.get("interval_seconds")
        assert (told["scope"], told["timezone"], told["task"]) == (scope, "UTC", None)
        assert (told["timeout_sec"], told["max_attempts"]) == (1800, 3)
        assert told["next_due_at"] is not None
        assert told["blocking"]["name"] == "due"
        [run] = Run.objects.all()
        assert (run.state, run.reporting) == (RunState.PENDING, "end_only")

    def test_the_answer_says_which_schedule_counts(self, admin: Client) -> None:
        warnings = {
            json.loads(body)["job_id"]: send(admin, "POST", "/jobs", body).json()["warnings"]
            for body in REAL
        }
        assert warnings.pop("scout-daily") == [
            "cron_expr '0 8 * * 1-5' counts; it does not say every 86400 s"
        ]
        assert set(map(tuple, warnings.values())) == {()}

    def test_in_queue_mode_the_interval_counts_beside_minutes(
        self, admin: Client, settings: Any
    ) -> None:
        settings.SCHEDULER_SCOPE = "mock"
        [warning] = send(admin, "POST", "/jobs", MOCK[0]).json()["warnings"]
        assert warning.startswith("interval_seconds counts: each run is due 120 s after the end")


class TestCreate:
    """POST /jobs."""

    def test_a_job_comes_back_with_the_names_it_was_sent_with(self, admin: Client) -> None:
        sent = {
            "queue": "crunch",
            "description": "numbers",
            "params": {"a": 1},
            "cron_expr": "30 6 * * 1-5",
            "interval_seconds": None,
            "timezone": "Asia/Seoul",
            "priority": -5,
            "max_parallel": 2,
            "overlap": "queue",
            "misfire": "skip",
            "misfire_grace_sec": 30,
            "timeout_sec": 90,
            "retry_limit": 5,
            "retry_backoff": "linear",
            "retry_base_delay_sec": 5,
            "non_retryable_codes": ["GIT_CONFLICT"],
            "run_on_startup": True,
        }
        told = create(admin, **sent)
        assert {name: told[name] for name in sent} == {**sent, "queue": "real.crunch"}
        assert told["default_params"] == {"a": 1}
        assert told["max_attempts"] == 5
        made = job()
        assert (made.timeout, made.max_retries) == (timedelta(seconds=90), 4)
        assert made.schedule is not None
        assert made.schedule.crontab is not None
        assert str(made.schedule.crontab.timezone) == "Asia/Seoul"
        entry = AuditEntry.objects.get(action="create_job")
        assert (entry.action, entry.door) == ("create_job", "api")

    def test_the_zone_of_a_cron_without_one_is_the_setting(
        self, admin: Client, settings: Any
    ) -> None:
        settings.SCHEDULER_TIMEZONE = "Asia/Tokyo"
        assert create(admin, cron_expr="0 9 * * *")["timezone"] == "Asia/Tokyo"

    def test_a_second_of_the_same_id_is_refused(self, admin: Client) -> None:
        create(admin)
        answer = send(admin, "POST", "/jobs", CELERY)
        assert (answer.status_code, answer.json()["code"]) == (409, "duplicate_job")

    @pytest.mark.parametrize(
        ("fields", "named"),
        [
            ({"cron_expr": "61 * * * *"}, "cron_expr"),
            ({"cron_expr": "* * * *"}, "cron_expr"),
            ({"cron_expr": "0 0 30 2 *"}, "schedule"),
            ({"cron_expr": "* * * * *", "timezone": "Mars/Base"}, "timezone"),
            ({"interval_seconds": 0}, "interval_seconds"),
            ({"interval_seconds": True}, "interval_seconds"),
            ({"queue": "mock.jobs.x"}, "queue"),
            ({"scope": "mock"}, "scope"),
            ({"params": {"a": 1}, "default_params": {"a": 2}}, "default_params"),
            ({"max_attempts": 0}, "max_attempts"),
            ({"task": None, "timeout_sec": None}, "timeout"),
            ({"reschedule_mode": "queue", "interval_seconds": None}, "next_delay"),
            ({"retry_base_delay_sec": 9, "retry_cap_sec": 3}, "retry_cap"),
            ({"job_id": "-"}, "job_id"),
            ({"colour": "red"}, "colour"),
        ],
    )
    def test_what_does_not_fit_is_named_and_nothing_is_kept(
        self, admin: Client, fields: dict[str, Any], named: str
    ) -> None:
        answer = send(admin, "POST", "/jobs", {**CELERY, **fields})
        assert answer.status_code == 422, answer.content
        assert named in answer.json()["message"]
        assert not Job.objects.exists()
        assert not PeriodicTask.objects.exists()

    def test_celery_and_foreign_workers_do_not_share_a_queue(self, admin: Client) -> None:
        create(admin, queue="shared")
        foreign = {"job_id": "other", "queue": "shared", "interval_seconds": 60}
        answer = send(admin, "POST", "/jobs", foreign)
        assert answer.status_code == 422
        assert "'job' for Celery workers" in answer.json()["message"]

    def test_only_an_admin_may(self, caller: Any) -> None:
        for method, path in (("POST", "/jobs"), ("PUT", "/jobs/x"), ("DELETE", "/jobs/x")):
            assert send(caller("operate"), method, path, CELERY).status_code == 403


class TestChange:
    """PUT /jobs/{id}."""

    def test_what_is_named_changes_and_the_rest_stays(self, admin: Client) -> None:
        before = create(admin, params={"a": 1}, timeout_sec=90)
        due = before["next_due_at"]
        told = send(admin, "PUT", "/jobs/job", {"description": "new", "params": {"b": 2}}).json()
        changed = {"description": "new", "params": {"b": 2}, "default_params": {"b": 2}}
        assert told == {**before, **changed}
        assert told["next_due_at"] == due
        row = job().schedule
        assert row is not None
        assert (json.loads(row.kwargs), row.description) == ({"b": 2}, "new")
        assert ScheduleEpoch.objects.count() == 1

    def test_another_schedule_begins_a_new_account(self, admin: Client) -> None:
        create(admin)
        told = send(admin, "PUT", "/jobs/job", {"cron_expr": "0 9 * * 1-5"}).json()
        assert (told["cron_expr"], told["interval_seconds"]) == ("0 9 * * 1-5", None)
        row = job().schedule
        assert row is not None
        assert row.crontab is not None
        assert (row.interval, row.crontab.hour) == (None, "9")
        assert ScheduleEpoch.objects.filter(to_at=None).count() == 1
        assert ScheduleEpoch.objects.count() == 2

    def test_to_queue_mode_and_back(self, admin: Client) -> None:
        create(admin)
        told = send(admin, "PUT", "/jobs/job", {"reschedule_mode": "queue"}).json()
        assert told["interval_seconds"] == 60
        assert job().next_delay == timedelta(seconds=60)
        assert Run.objects.filter(state=RunState.PENDING).count() == 1
        told = send(admin, "PUT", "/jobs/job", {"reschedule_mode": "scheduler"}).json()
        assert (told["reschedule_mode"], told["interval_seconds"]) == ("scheduler", 60)
        assert job().schedule is not None
        assert not Run.objects.open().exists()

    def test_a_schedule_can_be_taken_away(self, admin: Client) -> None:
        create(admin)
        told = send(admin, "PUT", "/jobs/job", {"interval_seconds": None}).json()
        assert (told["next_due_at"], told["blocking"]["name"]) == (None, "schedule")
        assert not PeriodicTask.objects.exists()

    def test_disabled_and_enabled_again(self, admin: Client) -> None:
        create(admin)
        off = send(admin, "PUT", "/jobs/job", {"enabled": False}).json()
        assert (off["enabled"], off["next_due_at"], off["interval_seconds"]) == (False, None, 60)
        on = send(admin, "PUT", "/jobs/job", {"enabled": True}).json()
        assert on["next_due_at"] is not None

    def test_a_task_can_become_foreign_and_back(self, admin: Client) -> None:
        create(admin)
        assert send(admin, "PUT", "/jobs/job", {"task": None}).json()["reporting"] == "end_only"
        assert job().task == FOREIGN_TASK
        assert send(admin, "PUT", "/jobs/job", {"task": "tests.task"}).json()["reporting"] is None

    def test_who_has_seen_another_definition_is_refused(self, admin: Client) -> None:
        create(admin)
        tag = admin.get("/jobs/job")["ETag"]
        first = send(admin, "PUT", "/jobs/job", {"priority": 1}, **{"If-Match": tag})
        assert first.status_code == 200
        assert first["ETag"] != tag
        for method, body in (("PUT", {"priority": 2}), ("DELETE", None)):
            late = send(admin, method, "/jobs/job", body, **{"If-Match": tag})
            assert (late.status_code, late.json()["code"]) == (412, "changed_meanwhile")
        assert job().priority == 1

    def test_how_it_stands_is_no_part_of_the_tag(self, admin: Client) -> None:
        create(admin)
        tag = admin.get("/jobs/job")["ETag"]
        send(admin, "POST", "/jobs/job/pause", {})
        assert admin.get("/jobs/job")["ETag"] == tag

    def test_a_change_that_does_not_fit_changes_nothing(self, admin: Client) -> None:
        before = create(admin)
        answer = send(admin, "PUT", "/jobs/job", {"priority": 1, "cron_expr": "0 0 31 4 *"})
        assert answer.status_code == 422
        assert admin.get("/jobs/job").json() == before

    def test_an_unknown_one_is_404(self, admin: Client) -> None:
        assert send(admin, "PUT", "/jobs/none", {}).status_code == 404
        assert send(admin, "DELETE", "/jobs/none").status_code == 404


class TestOffice:
    """A job may take the slots of an office."""

    def test_its_runs_are_of_that_office(self, admin: Client) -> None:
        office = make_office()
        assert create(admin)["office_id"] == "default"
        told = send(admin, "PUT", "/jobs/job", {"office_id": "hq"}).json()
        assert told["office_id"] == "hq"
        send(admin, "POST", "/jobs/job/run-now", {})
        assert Run.objects.get().office == office
        assert send(admin, "PUT", "/jobs/job", {"office_id": None}).json()["office_id"] == "default"

    def test_an_unknown_one_is_named(self, admin: Client) -> None:
        answer = send(admin, "POST", "/jobs", {**CELERY, "office_id": "none"})
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_office")


class TestDelete:
    """DELETE /jobs/{id}."""

    def test_what_waits_is_cancelled_and_the_ledger_stays(self, admin: Client) -> None:
        create(admin)
        open_runs([new_run(job(), trigger=Trigger.MANUAL, now=database_now())])
        assert send(admin, "DELETE", "/jobs/job").status_code == 204
        run = Run.objects.get()
        assert (run.state, run.reason) == (RunState.CANCELLED, "job_deleted")
        assert admin.get("/jobs/job").status_code == 404
        assert not PeriodicTask.objects.exists()
        assert ScheduleEpoch.objects.get().to_at is not None

    @pytest.mark.parametrize("mode", ["scheduler", "queue"])
    def test_it_may_be_created_again_with_the_same_account(self, admin: Client, mode: str) -> None:
        create(admin, reschedule_mode=mode)
        old = job().pk
        send(admin, "DELETE", "/jobs/job")
        told = create(admin, reschedule_mode=mode, interval_seconds=30)
        assert (told["interval_seconds"], told["paused"]) == (30, False)
        assert job().pk == old
        assert ScheduleEpoch.objects.filter(to_at=None).count() == 1


class TestStartupOneshot:
    """POST /jobs/{id}/startup-oneshot."""

    def test_one_run_a_boot(self, admin: Client) -> None:
        create(admin, task=None)
        path = "/jobs/job/startup-oneshot"
        runs = [send(admin, "POST", path, {"boot_id": b}).json()["run_id"] for b in ("a", "a", "b")]
        assert runs[0] == runs[1] != runs[2]
        assert set(Run.objects.values_list("trigger", flat=True)) == {Trigger.STARTUP}

    def test_a_paused_job_is_left_alone(self, admin: Client) -> None:
        create(admin, task=None)
        send(admin, "POST", "/jobs/job/pause", {})
        answer = send(admin, "POST", "/jobs/job/startup-oneshot", {"boot_id": "a"})
        assert (answer.status_code, answer.json()["run_id"]) == (200, None)


def test_adopted_jobs_tell_their_cron(
    admin: Client, make_job: JobMaker, weekdays_at_nine: Any
) -> None:
    make_job(schedule=weekdays_at_nine)
    told = admin.get("/jobs/job").json()
    assert (told["cron_expr"], told["timezone"]) == ("0 9 * * 1-5", "UTC")


@pytest.mark.parametrize(
    ("seconds", "status"),
    [
        (1.5, 201),
        (2147.25, 201),
        (3600.5, 422),
        (2_179_557_950.13, 422),
        (2_147_483_647, 201),
        (2_147_483_648, 422),
        (2_147_483_700, 201),
    ],
)
def test_an_interval_that_its_row_cannot_hold_is_refused_in_words(
    caller: Any, seconds: float, status: int
) -> None:
    body = {"job_id": "long", "task": "tests.task", "interval_seconds": seconds}
    answer = caller("admin").post("/jobs", body, content_type="application/json")
    assert answer.status_code == status, answer.content
    if status == 422:
        assert "cannot be kept: give whole seconds above 35 minutes" in answer.json()["message"]
    else:
        row: Any = Job.objects.get().schedule
        assert row.interval.every <= 2**31 - 1
