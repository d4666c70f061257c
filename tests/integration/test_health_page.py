"""`/health` and the probes behind it, over the real database and a real (in-process) broker."""

import asyncio
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as configured
from django.test import Client
from django.utils import timezone
from uuid_utils.compat import uuid7

from monitoring.models import ProbeSample
from monitoring.probes.base import Degraded, Unavailable
from monitoring.probes.broker_heartbeat import BrokerHeartbeat
from monitoring.probes.eteda_loop_latency import EtedaLoopLatency
from monitoring.probes.measure import measure
from monitoring.probes.recent import RecentResults
from monitoring.probes.repository_health import RepositoryHealth
from scheduling.models import Job, Pause, Run
from scheduling.states import RunState, Trigger
from tests.servers import free_port

# The probes look from threads of their own, so that they see only what is committed.
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def platform(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a data directory, a broker that lives in this process, and no result yet."""
    monkeypatch.setattr("monitoring.views.health.RECENT", RecentResults())
    settings.DATASET_ROOT = tmp_path / "dataset"
    settings.STATIC_ROOT = tmp_path
    settings.CELERY_BROKER_URL = "memory://"
    settings.CELERY_BROKER_TRANSPORT_OPTIONS = {}


def standing_job(job_id: str, *, age: timedelta = timedelta()) -> Job:
    """Make a standing job that exists for some time."""
    job = Job.objects.create(
        scope=configured.SCHEDULER_SCOPE, job_id=job_id, task="a.task", queue="real.standing"
    )
    Job.objects.filter(pk=job.pk).update(created_at=timezone.now() - age)
    job.refresh_from_db()
    return job


def make_run(job: Job, *, finished_at: datetime, took: timedelta) -> None:
    """Make a run of the job that is done."""
    Run.objects.create(
        scope=job.scope,
        job=job,
        trigger=Trigger.SCHEDULER,
        task=job.task,
        queue=job.queue,
        timeout=job.timeout,
        state=RunState.DONE,
        attempt=1,
        attempt_id=uuid7(),
        created_at=finished_at - took,
        started_at=finished_at - took,
        finished_at=finished_at,
    )


def test_right_after_the_first_start_all_is_well(client: Client) -> None:
    standing_job("pipeline")
    standing_job("broker_heartbeat")

    response = client.get("/health", headers={"accept": "application/json"})

    assert response.status_code == 200
    assert response.json() == {
        "google_sheets": "OK: not configured, the pipeline reads its local sheet",
        "repository_health": "OK: database answers, no dataset yet",
        "broker_heartbeat": "OK: connects, no heartbeat yet",
        "eteda_loop_latency": "OK: no finished loop yet",
    }


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        ("", "text/html"),
        ("?format=json", "application/json"),
        ("?format=text", "text/plain"),
        ("?format=openmetrics", "application/openmetrics-text"),
    ],
)
def test_each_format_names_every_probe_to_anybody(client: Client, query: str, kind: str) -> None:
    response = client.get(f"/health{query}")

    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith(kind)
    body = response.content.decode()
    names = ("google_sheets", "repository_health", "broker_heartbeat", "eteda_loop_latency")
    assert all(name in body for name in names)


@pytest.mark.parametrize(
    "accept",
    ["*", "x", "/", ";", "\u00ff", "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2"],
)
def test_an_accept_header_that_cannot_be_read_asks_for_anything(
    client: Client, accept: str
) -> None:
    response = client.get("/health", headers={"accept": accept})

    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/html")


@pytest.mark.parametrize("query", ["", "?format=json", "?format=text"])
def test_a_dead_broker_makes_it_500_and_gives_nothing_away(
    client: Client, settings: Any, query: str
) -> None:
    port = free_port()
    settings.CELERY_BROKER_URL = f"redis://ops:hunter2secret@127.0.0.1:{port}/0"

    response = client.get(f"/health{query}")

    body = response.content.decode()
    assert response.status_code == 500
    assert "the broker does not answer" in body
    assert not any(secret in body for secret in ("hunter2", str(port), "127.0.0.1"))


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note each time that the dataset's disk is really asked."""
    noted: list[str] = []
    real_look = RepositoryHealth.look

    def look(probe: RepositoryHealth) -> str:
        noted.append(probe.name)
        return real_look(probe)

    monkeypatch.setattr(RepositoryHealth, "look", look)
    return noted


def test_a_flood_of_calls_asks_broker_and_disk_once(client: Client, looks: list[str]) -> None:
    async def flood(results: RecentResults) -> None:
        await asyncio.gather(*(results.get() for _ in range(50)))

    codes = {client.get(f"/health?format={kind}").status_code for kind in ("text", "json") * 5}
    assert (codes, len(looks)) == ({200}, 1)
    asyncio.run(flood(RecentResults()))
    assert len(looks) == 2


def test_a_result_that_is_too_old_is_measured_anew(looks: list[str]) -> None:
    results = RecentResults(kept_seconds=0)

    first, second = asyncio.run(results.get()), asyncio.run(results.get())

    assert len(looks) == 2
    assert first is not second


def test_a_caller_who_goes_away_does_not_take_the_result_along() -> None:
    async def one_leaves(results: RecentResults) -> int:
        await results.get()  # the measuring thread is there, so that the next one has to wait
        leaving, staying = (asyncio.ensure_future(results.get()) for _ in range(2))
        await asyncio.sleep(0)
        leaving.cancel()
        return len(await staying)

    for _ in range(10):
        assert asyncio.run(one_leaves(RecentResults(kept_seconds=0))) == 4


def test_one_probe_that_raises_fails_alone(settings: Any) -> None:
    settings.CELERY_BROKER_URL = "no-such-transport://"

    found = {each.probe: each for each in measure()}

    assert [name for name, each in found.items() if not each.ok] == ["broker_heartbeat"]
    assert "no-such-transport" not in found["broker_heartbeat"].words


def test_the_page_answers_while_its_visitor_is_signed_in(admin_client: Client) -> None:
    assert admin_client.get("/health").status_code == 200


def test_a_stale_heartbeat_is_a_failure_only_while_the_job_should_run() -> None:
    job = standing_job("broker_heartbeat", age=timedelta(hours=1))
    sample = {"scope": configured.SCHEDULER_SCOPE, "probe": "broker_heartbeat", "ok": True}
    now = timezone.now()
    ProbeSample.objects.create(**sample, at=now - timedelta(minutes=10), latency_seconds=0.002)

    with pytest.raises(Unavailable, match="no heartbeat for 600 s"):
        BrokerHeartbeat().look()
    pause = Pause.objects.create(job=job, paused_by="me", from_at=now)
    assert BrokerHeartbeat().look() == "connects, round trip 2.0 ms"
    pause.ended_at = now
    pause.save()
    assert BrokerHeartbeat().look() == "connects, round trip 2.0 ms"  # it has just been resumed


def test_a_heartbeat_that_failed_is_a_failure() -> None:
    standing_job("broker_heartbeat")
    sample = {"scope": configured.SCHEDULER_SCOPE, "probe": "broker_heartbeat"}
    ProbeSample.objects.create(**sample, ok=False, at=timezone.now())

    with pytest.raises(Unavailable, match="the last heartbeat failed"):
        BrokerHeartbeat().look()


def test_the_loop_is_judged_by_its_age_and_by_its_duration() -> None:
    job = standing_job("pipeline", age=timedelta(hours=1))
    now = timezone.now()

    with pytest.raises(Unavailable, match="no loop finished"):
        EtedaLoopLatency().look()
    make_run(job, finished_at=now - timedelta(minutes=5), took=timedelta(seconds=1))
    with pytest.raises(Unavailable, match="no loop finished for 300 s"):
        EtedaLoopLatency().look()
    make_run(job, finished_at=now - timedelta(seconds=5), took=timedelta(seconds=30))
    with pytest.raises(Degraded, match=r"took 30\.0 s"):
        EtedaLoopLatency().look()
    make_run(job, finished_at=now, took=timedelta(seconds=1))
    assert EtedaLoopLatency().look() == "last loop took 1.00 s"


def test_the_loop_of_another_scope_does_not_count() -> None:
    job = standing_job("pipeline")
    Job.objects.filter(pk=job.pk).update(scope="elsewhere")
    job.refresh_from_db()
    make_run(job, finished_at=timezone.now(), took=timedelta(seconds=30))

    assert EtedaLoopLatency().look() == "no finished loop yet"


def test_a_dataset_that_can_be_written_is_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "dataset").mkdir()

    assert RepositoryHealth().look() == "database answers, dataset writable"
    assert list((tmp_path / "dataset").iterdir()) == []


def test_a_dataset_that_is_no_directory_is_a_failure_without_its_path(tmp_path: Path) -> None:
    (tmp_path / "dataset").write_text("in the way")

    with pytest.raises(Unavailable, match="cannot be written") as caught:
        RepositoryHealth().look()

    assert str(tmp_path) not in str(caught.value)
