"""The status page over the real database: what it shows, when it changes, who may press what."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import DjangoAssertNumQueries
from uuid_utils.compat import uuid7

from monitoring.models import DashboardSnapshot
from scheduling.models import Attempt, AuditEntry, Job, JobStatus, Pause, Run, SkippedTicks
from scheduling.states import RunState, SkipReason, Trigger
from tests.conftest import JobMaker

pytestmark = pytest.mark.django_db

PASSWORD = "long enough"  # noqa: S105 of a database that lives as long as a test
POLL = {"HX-Request": "true"}
FIGURES: dict[str, Any] = {"runs": {}, "skipped": {"paused": 2}, "success_rate": None, "probes": []}


@pytest.fixture(autouse=True)
def _static_root(settings: Any, tmp_path: Path) -> None:
    settings.STATIC_ROOT = tmp_path


@pytest.fixture
def visitor(client: Client) -> Client:
    """Give a client signed in as somebody who may only look."""
    client.force_login(User.objects.create_user("visitor"))
    return client


@pytest.fixture
def staff(client: Client) -> Client:
    """Give a client signed in as an operator who is no superuser."""
    user = User.objects.create_user("olga", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="change_job"))
    client.force_login(user)
    return client


def ended(job: Job, *, ago: float = 1, state: RunState = RunState.DONE, **given: Any) -> Run:
    """Insert a run that ended some seconds ago."""
    at = timezone.now() - timedelta(seconds=ago)
    return Run.objects.create(
        **{
            "scope": job.scope,
            "job": job,
            "trigger": Trigger.SCHEDULER,
            "task": job.task,
            "queue": job.queue,
            "timeout": job.timeout,
            "state": state,
            "attempt": 1,
            "attempt_id": uuid7(),
            "scheduled_for": at - timedelta(seconds=0.6),
            "created_at": at,
            "started_at": at - timedelta(seconds=0.5),
            "finished_at": at,
            **given,
        }
    )


def version_of(page: str) -> str:
    """Return the version that the live part will ask with."""
    found = re.search(r"version=([0-9a-f]+)", page)
    assert found
    return found[1]


def test_anonymous_visitors_go_to_the_login_page_and_come_back(client: Client) -> None:
    response = client.get("/runs/0198c5b6-0000-7000-8000-000000000000")

    assert response.status_code == 302
    assert response.headers["Location"].startswith("/login/?next=/runs/")


def test_a_poll_whose_session_ended_sends_the_page_to_the_login(client: Client) -> None:
    response = client.get("/status/live", headers=POLL)

    assert response.headers["HX-Redirect"] == "/login/"


def test_a_login_opens_the_page_and_a_logout_closes_it(client: Client) -> None:
    User.objects.create_user("vera", password=PASSWORD)

    wrong = client.post("/login/", {"username": "vera", "password": "wrong"})
    right = client.post("/login/", {"username": "vera", "password": PASSWORD})

    assert "do not match" in wrong.content.decode()
    assert (right.status_code, right.headers["Location"]) == (302, "/")
    assert client.get("/").status_code == 200
    assert client.post("/logout/").status_code == 302
    assert client.get("/").status_code == 302


def test_an_empty_platform_says_what_will_come(visitor: Client) -> None:
    page = visitor.get("/").content.decode()

    assert "No jobs yet" in page
    assert "No run yet" in page
    assert "No figures yet" in page


def test_a_job_is_shown_with_schedule_due_time_and_verdicts(
    visitor: Client, make_job: JobMaker
) -> None:
    job = make_job("pipeline", every=15)
    ended(job, ago=40)
    ended(
        job,
        ago=20,
        state=RunState.FAILED,
        error_code="EtedaError",
        error="SheetRowError: line 3 is broken",
    )
    SkippedTicks.objects.create(
        job=job,
        epoch=job.epochs.get(),
        reason=SkipReason.OVERLAP,
        after=timezone.now() - timedelta(seconds=10),
        until=timezone.now(),
        count=2,
    )

    page = visitor.get("/").content.decode()

    assert "every 15 seconds" in page
    assert job.next_due_at
    assert f'data-due="{job.next_due_at.isoformat(timespec="seconds")[:19]}' in page
    bar = re.findall(r'<li class="(\w+)" title="([^"]*)"', page)
    assert [tone for tone, _ in bar] == ["good", "bad", "neutral"]
    assert bar[1][1].startswith("failed (EtedaError)")
    assert bar[2][1].startswith("2 × skipped (overlap)")
    assert "SheetRowError: line 3 is broken" in page


@pytest.mark.parametrize(
    ("change", "label"),
    [
        ({}, "enabled"),
        ({"enabled": False}, "disabled"),
        ({"schedule_error": "no such minute"}, "schedule error"),
    ],
)
def test_the_chip_says_how_a_job_stands(
    visitor: Client, make_job: JobMaker, change: dict[str, Any], label: str
) -> None:
    Job.objects.filter(pk=make_job("j").pk).update(**change)

    assert re.search(rf'class="chip \w+"[^>]*>{label}<', visitor.get("/").content.decode())


def test_an_open_breaker_and_a_pause_are_told_with_their_reason(
    visitor: Client, make_job: JobMaker
) -> None:
    tripped, paused = make_job("tripped"), make_job("paused")
    JobStatus.objects.update_or_create(
        job=tripped,
        defaults={
            "tripped_at": timezone.now(),
            "consecutive_errors": 3,
            "last_error": "disk full",
        },
    )
    Pause.objects.create(job=paused, paused_by="olga", reason="upgrade", from_at=timezone.now())

    page = visitor.get("/").content.decode()

    assert 'title="3 failures in a row: disk full">breaker open' in page
    assert 'title="upgrade. Until somebody resumes it.">paused by olga' in page


def test_a_job_whose_newest_runs_all_expired_is_not_shown_as_well(
    visitor: Client, make_job: JobMaker
) -> None:
    job = make_job("j")
    ended(job, ago=50)
    for ago in (40, 30):
        ended(job, ago=ago, state=RunState.SKIPPED, reason=SkipReason.EXPIRED)
    assert ">does not start<" not in visitor.get("/").content.decode()
    ended(job, ago=20, state=RunState.SKIPPED, reason=SkipReason.EXPIRED)
    assert ">does not start<" in visitor.get("/").content.decode()
    ended(job, ago=10)
    assert ">does not start<" not in visitor.get("/").content.decode()


def test_jobs_and_runs_of_another_scope_are_not_shown(visitor: Client, make_job: JobMaker) -> None:
    foreign = make_job("foreign", scope="mock")
    run = ended(foreign)

    assert "foreign" not in visitor.get("/").content.decode()
    assert visitor.get(f"/runs/{run.pk}").status_code == 404


def test_a_poll_is_answered_204_until_something_changes(
    visitor: Client, make_job: JobMaker
) -> None:
    job = make_job("j")
    version = version_of(visitor.get("/").content.decode())

    def poll() -> Any:
        return visitor.get(f"/status/live?version={version}", headers=POLL)

    assert poll().status_code == 204
    run = ended(job, state=RunState.RUNNING, finished_at=None)
    changed = poll()
    assert changed.status_code == 200
    assert str(run.pk) in changed.content.decode()
    assert "<html" not in changed.content.decode()


@pytest.mark.parametrize(
    "change",
    [
        lambda job: Pause.objects.create(job=job, paused_by="x", from_at=timezone.now()),
        lambda job: Job.objects.filter(pk=job.pk).update(enabled=False),
        lambda job: Job.objects.filter(pk=job.pk).update(next_due_at=timezone.now()),
        lambda job: DashboardSnapshot.objects.create(
            scope=job.scope, computed_at=timezone.now(), data=FIGURES
        ),
        ended,
        lambda job: JobStatus.objects.update_or_create(
            job=job, defaults={"tripped_at": timezone.now()}
        ),
    ],
    ids=["pause", "switch off", "next due", "snapshot", "run", "breaker"],
)
def test_whatever_the_page_shows_changes_its_version(
    visitor: Client, make_job: JobMaker, change: Any
) -> None:
    job = make_job("j")
    version = version_of(visitor.get("/").content.decode())

    change(job)

    assert visitor.get(f"/status/live?version={version}", headers=POLL).status_code == 200


def test_the_number_of_queries_does_not_grow_with_the_jobs(
    visitor: Client, make_job: JobMaker, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(30):
        job = make_job(f"job-{number}")
        ended(job)
        JobStatus.objects.get_or_create(job=job)

    with django_assert_max_num_queries(25):
        assert visitor.get("/").status_code == 200
    version = version_of(visitor.get("/").content.decode())
    with django_assert_max_num_queries(10):
        assert visitor.get("/status/live", {"version": version}).status_code == 204


def test_fifty_jobs_fill_a_page_and_the_next_has_the_rest(
    visitor: Client, make_job: JobMaker
) -> None:
    for number in range(52):
        make_job(f"job-{number:02}")

    first, second = visitor.get("/").content.decode(), visitor.get("/?page=2").content.decode()

    assert ("job-49" in first, "job-50" in first) == (True, False)
    assert ("job-49" in second, "job-51" in second) == (False, True)
    assert "page=2" in second


def test_a_visitor_sees_no_buttons_and_may_not_press_them(
    visitor: Client, make_job: JobMaker
) -> None:
    job = make_job("j")

    assert "Run now" not in visitor.get("/").content.decode()
    assert visitor.post(f"/status/jobs/{job.pk}/pause").status_code == 403
    assert visitor.post(f"/status/jobs/{job.pk}/run-now").status_code == 403
    assert not Pause.objects.exists()
    assert not Run.objects.exists()


def test_an_operator_runs_a_job_now(staff: Client, make_job: JobMaker) -> None:
    job = make_job("j")

    response = staff.post(f"/status/jobs/{job.pk}/run-now", headers=POLL)

    run = Run.objects.get()
    assert (run.job, run.trigger) == (job, "manual")
    assert str(run.pk) in response.content.decode()
    assert AuditEntry.objects.filter(actor="olga", door="page").exists()


def test_an_operator_pauses_and_resumes_a_job(staff: Client, make_job: JobMaker) -> None:
    job = make_job("j")

    paused = staff.post(f"/status/jobs/{job.pk}/pause", headers=POLL).content.decode()
    pause = Pause.objects.get()
    resumed = staff.post(f"/status/jobs/{job.pk}/resume", headers=POLL).content.decode()

    assert "paused by olga" in paused
    assert "Resume" in paused
    assert pause.paused_by == "olga"
    assert "paused by" not in resumed
    pause.refresh_from_db()
    assert pause.ended_by == "olga"


def test_the_buttons_work_without_javascript(staff: Client, make_job: JobMaker) -> None:
    job = make_job("j")

    response = staff.post(f"/status/jobs/{job.pk}/pause", follow=True)

    assert response.redirect_chain == [("/", 302)]
    assert "j is paused until somebody resumes it." in response.content.decode()


def test_a_button_of_a_deleted_job_is_a_404(staff: Client, make_job: JobMaker) -> None:
    job = make_job("j")
    Job.objects.filter(pk=job.pk).update(deleted_at=timezone.now())

    assert staff.post(f"/status/jobs/{job.pk}/run-now").status_code == 404


def test_a_press_without_csrf_token_is_refused(make_job: JobMaker) -> None:
    job = make_job("j")
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(User.objects.create_superuser("root"))

    assert strict.post(f"/status/jobs/{job.pk}/pause").status_code == 403
    assert strict.get(f"/status/jobs/{job.pk}/pause").status_code == 405
    assert not Pause.objects.exists()


def test_a_run_is_shown_with_its_attempts_and_without_secrets(
    visitor: Client, make_job: JobMaker
) -> None:
    run = ended(make_job("j"), params={"password": "hunter2secret", "day": "Monday"})
    Attempt.objects.create(
        id=uuid7(),
        run=run,
        number=1,
        started_at=run.created_at,
        finished_at=run.finished_at,
        outcome="failed",
        error="no space left",
        error_code="BackupError",
    )

    page = visitor.get(f"/runs/{run.pk}").content.decode()

    assert "BackupError: no space left" in page
    assert "Monday" in page
    assert "hunter2secret" not in page
    assert "hx-get" not in page


def test_an_open_run_keeps_its_page_up_to_date(visitor: Client, make_job: JobMaker) -> None:
    run = ended(make_job("j"), state=RunState.RUNNING, finished_at=None)

    assert f'hx-get="/runs/{run.pk}"' in visitor.get(f"/runs/{run.pk}").content.decode()


def test_an_unknown_run_is_a_404_in_words(visitor: Client) -> None:
    response = visitor.get(f"/runs/{UUID(int=1)}")

    assert response.status_code == 404
    assert "There is nothing here" in response.content.decode()


def test_measurements_are_read_only_in_the_admin(admin_client: Client) -> None:
    snapshot = DashboardSnapshot.objects.create(scope="real", computed_at=timezone.now(), data={})
    base = "/admin/monitoring/dashboardsnapshot/"

    assert admin_client.get(f"{base}{snapshot.pk}/change/").status_code == 200
    assert admin_client.get(f"{base}add/").status_code == 403
    assert admin_client.post(f"{base}{snapshot.pk}/delete/", {"post": "yes"}).status_code == 403
    assert admin_client.get("/admin/monitoring/probesample/").status_code == 200
