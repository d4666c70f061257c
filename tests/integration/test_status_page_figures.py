"""The dashboard snapshot, computed from a real ledger."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import DjangoAssertNumQueries
from uuid_utils.compat import uuid7

from monitoring.dashboard import update_snapshot
from monitoring.history import newest_verdicts
from monitoring.models import DashboardSnapshot
from monitoring.probes.recent import RecentResults
from scheduling.models import Job, Run, SkippedTicks
from scheduling.states import RunState, SkipReason, Trigger
from tests.conftest import JobMaker

pytestmark = pytest.mark.django_db(transaction=True)  # the probes have threads of their own


@pytest.fixture(autouse=True)
def _broker_in_this_process(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitoring.views.health.RECENT", RecentResults())
    settings.CELERY_BROKER_URL, settings.CELERY_BROKER_TRANSPORT_OPTIONS = "memory://", {}
    settings.DATASET_ROOT = settings.STATIC_ROOT = tmp_path


def ended(
    job: Job, *, ago: float, state: str = RunState.DONE, took: float = 1, **given: Any
) -> None:
    """Insert a run that ended `ago` seconds ago, a quarter of a second after its start was due."""
    at = timezone.now() - timedelta(seconds=ago)
    started_at = at - timedelta(seconds=took)
    Run.objects.create(
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
            "scheduled_for": started_at - timedelta(seconds=0.25),
            "created_at": started_at,
            "started_at": started_at,
            "finished_at": at,
            **given,
        }
    )


def skipped(job: Job, *, ago: float, count: int, reason: str = SkipReason.PAUSED) -> None:
    """Insert a skipped stretch that ended `ago` seconds ago."""
    until = timezone.now() - timedelta(seconds=ago)
    SkippedTicks.objects.create(
        job=job,
        epoch=job.epochs.get(),
        reason=reason,
        after=until - timedelta(seconds=1),
        until=until,
        count=count,
    )


def test_without_runs_the_success_rate_is_none_and_not_zero(make_job: JobMaker) -> None:
    make_job("idle")

    update_snapshot()

    data = DashboardSnapshot.objects.get(scope="real").data
    assert data["success_rate"] is None
    assert data["jobs"]["idle"]["duration_average"] is None
    assert data["jobs"]["idle"]["sample"] == 0


def test_the_last_day_is_counted_by_verdict_and_by_reason(make_job: JobMaker) -> None:
    job, other = make_job("a"), make_job("b", scope="mock")
    for ago in (10, 20, 30):
        ended(job, ago=ago)
    ended(job, ago=40, state=RunState.FAILED)
    ended(job, ago=50, state=RunState.CANCELLED)
    ended(job, ago=60, state=RunState.SKIPPED, reason=SkipReason.EXPIRED)
    ended(job, ago=90_000)
    ended(other, ago=10)
    skipped(job, ago=70, count=5)
    skipped(job, ago=80, count=2)
    skipped(job, ago=90_000, count=100)

    totals = update_snapshot()

    assert totals == {
        "runs": {"done": 3, "failed": 1, "cancelled": 1},
        "skipped": {"expired": 1, "paused": 7},
        "success_rate": 0.75,
    }
    assert DashboardSnapshot.objects.get(scope="real").data["runs"] == totals["runs"]


def test_a_job_has_the_durations_and_the_lateness_of_its_newest_runs(make_job: JobMaker) -> None:
    job = make_job("a")
    for number in range(1, 41):
        ended(job, ago=1_000 - number, took=number / 10, attempt=1 + (number == 40))
    skipped(job, ago=1, count=3)

    update_snapshot()

    figures = DashboardSnapshot.objects.get(scope="real").data["jobs"]["a"]
    assert figures == {
        "sample": 40,
        "duration_average": pytest.approx(2.05),
        "duration_p95": pytest.approx(3.8),
        "lateness_average": pytest.approx(0.25),
        "lateness_p95": pytest.approx(0.25),
    }


def test_one_row_per_scope_is_kept_up_to_date(make_job: JobMaker) -> None:
    update_snapshot()
    ended(make_job("a"), ago=1)
    update_snapshot()

    assert DashboardSnapshot.objects.get().data["runs"] == {"done": 1}


def test_the_probes_stand_in_the_snapshot() -> None:
    update_snapshot()

    probes = DashboardSnapshot.objects.get().data["probes"]
    assert [(probe["probe"], probe["ok"], probe["checked"]) for probe in probes] == [
        ("google_sheets", True, False),
        ("repository_health", True, True),
        ("broker_heartbeat", True, True),
        ("eteda_loop_latency", True, True),
    ]


def test_queries_do_not_grow_with_jobs_or_history(
    make_job: JobMaker, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(40):
        job = make_job(f"job-{number}")
        for ago in range(1, 6):
            ended(job, ago=ago)

    with django_assert_max_num_queries(14):
        update_snapshot()


def test_each_job_gets_its_own_newest_verdicts(make_job: JobMaker) -> None:
    busy, calm, idle = make_job("busy"), make_job("calm"), make_job("idle")
    for ago in range(1, 20):
        ended(busy, ago=ago)
    ended(calm, ago=5_000, state=RunState.FAILED)

    verdicts = newest_verdicts([busy.pk, calm.pk, idle.pk], limit=5)

    assert len(verdicts[busy.pk]) == 5
    assert [verdict.outcome for verdict in verdicts[calm.pk]] == ["failed"]
    assert idle.pk not in verdicts
    assert verdicts[busy.pk] == sorted(verdicts[busy.pk], key=lambda verdict: verdict.at)


def test_the_page_shows_what_a_job_takes_and_how_late_it_starts(
    admin_client: Client, make_job: JobMaker
) -> None:
    job = make_job("a")
    for number in range(1, 41):
        ended(job, ago=1_000 - number, took=number / 10)
    make_job("idle")
    update_snapshot()

    page = admin_client.get("/").content.decode()

    assert page.count("avg ") == 1
    assert "avg 2.0 s · p95 3.8 s" in page
    assert "Over the newest 40 runs. Started 250 ms after due on average, 250 ms at p95." in page


@pytest.mark.parametrize("path", ["/", "/health"])
def test_a_probe_with_nothing_to_check_is_painted_neither_good_nor_bad(
    admin_client: Client, path: str
) -> None:
    update_snapshot()

    page = admin_client.get(path).content.decode()

    dots = re.findall(r'<span class="dot (\w*)"[^>]*></span><div><strong>(\w+)', page)
    assert dots == [
        ("", "google_sheets"),
        ("good", "repository_health"),
        ("good", "broker_heartbeat"),
        ("good", "eteda_loop_latency"),
    ]
