"""Events of runs as a live stream from a real ASGI server, and page by page."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from django.test import AsyncRequestFactory, Client

from scheduling.actions.audit import Operator
from scheduling.actions.cancel_runs import cancel_runs
from scheduling.actions.create_token import NewToken, create_token
from scheduling.actions.offices.create_office import NewOffice, create_office
from scheduling.actions.offices.submit_work import submit_work
from scheduling.actions.offices.work import Work
from scheduling.api import event_stream
from scheduling.api.event_hub import MOST_OF_ONE, EventHub, TooManyListeners
from scheduling.engine.events.sequence import number_events
from scheduling.models import ApiToken, Office, Run
from tests.cluster import CHECKOUT, Cluster
from tests.servers import free_port, wait_for

Happening = Callable[[], Run]


@pytest.fixture
def token(admin_user: Any, operator: Operator) -> str:
    new = NewToken(name="reader", access="read", scope="", office_id="")
    return create_token(new, operator, user=admin_user)


@pytest.fixture
def server(transactional_db: None, tmp_path: Path, settings: Any) -> Iterator[str]:
    """Yield the URL of the platform's own web process."""
    del transactional_db
    port = free_port()
    environment = Cluster(tmp_path, "memory://").environment | {"SECRET_KEY": settings.SECRET_KEY}
    command = [sys.executable, "-m", "uvicorn", "opsproject.asgi:application", "--port", str(port)]
    options = ["--lifespan", "off", "--timeout-graceful-shutdown", "1"]
    with (tmp_path / "web.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, *options], cwd=CHECKOUT, env=environment, stdout=log, stderr=log
        )
    url = f"http://127.0.0.1:{port}"
    wait_for(lambda: _answers(url), seconds=40, what="the web process answers")
    yield url
    process.kill()
    process.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/api/openapi.json").status_code == 200
    except httpx.TransportError:
        return False


@contextmanager
def listening(url: str, path: str = "/api/events/stream", **headers: str) -> Iterator[Any]:
    """Yield an iterator over the events of a stream that is open by then."""
    with httpx.stream("GET", url + path, headers=headers, timeout=20) as answer:
        assert answer.status_code == 200, answer.read()
        lines = answer.iter_lines()
        assert next(lines) == "retry: 1000"
        yield _events(lines)


def _events(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_who_listens_is_told_what_happens_from_then_on(
    server: str, happen: Happening, token: str
) -> None:
    happen()
    with listening(server, **bearer(token)) as events:
        runs = [happen(), happen()]
        told = [next(events), next(events)]
    assert [event["run_id"] for event in told] == [str(run.pk) for run in runs]
    assert told[0]["seq"] + 1 == told[1]["seq"]
    assert (told[0]["type"], told[0]["job_id"], told[0]["office_id"]) == (
        "job_cancelled",
        "job",
        "default",
    )


def test_who_comes_back_reads_on_where_he_was(server: str, happen: Happening, token: str) -> None:
    with listening(server, **bearer(token)) as events:
        happen()
        seen = next(events)
    missed = [happen() for _ in range(3)]
    with listening(server, **bearer(token), **{"Last-Event-ID": str(seen["seq"])}) as events:
        live = happen()
        told = [next(events)["run_id"] for _ in range(4)]
    assert told == [str(run.pk) for run in (*missed, live)]


def test_an_office_is_told_of_its_own_only(
    server: str, happen: Happening, token: str, operator: Operator
) -> None:
    office = create_office(NewOffice(scope="real", office_id="hq"), operator)
    with (
        listening(server, "/api/offices/hq/events/stream", **bearer(token)) as of_hq,
        listening(server, "/api/offices/default/events/stream", **bearer(token)) as of_default,
    ):
        of_job = happen()
        of_office = cancelled_in(office, operator)
        assert next(of_hq)["run_id"] == str(of_office.pk)
        assert next(of_default)["run_id"] == str(of_job.pk)


def cancelled_in(office: Office, operator: Operator) -> Run:
    submit_work(office, [Work(key="a", task="tests.task")], operator)
    run = Run.objects.get(office=office)
    cancel_runs([run.pk], operator)
    number_events()
    return run


def test_a_browser_opens_it_with_a_ticket_or_its_session(
    server: str, happen: Happening, token: str, admin_user: Any
) -> None:
    del happen
    ticket = httpx.post(f"{server}/api/events/ticket", headers=bearer(token)).json()["ticket"]
    with listening(server, f"/api/events/stream?ticket={ticket}"):
        pass
    client = Client()
    client.force_login(admin_user)
    cookie = client.cookies["sessionid"].value
    with listening(server, Cookie=f"sessionid={cookie}"):
        pass


def test_nobody_else_is_told_anything(
    server: str, token: str, operator: Operator, admin_user: Any
) -> None:
    create_office(NewOffice(scope="real", office_id="hq"), operator)
    new = NewToken(name="hq", access="read", scope="real", office_id="hq")
    of_hq = bearer(create_token(new, operator, user=admin_user))
    path = f"{server}/api/events/stream"
    assert httpx.get(path).status_code == 401
    assert httpx.get(path, headers=bearer("nonsense")).status_code == 401
    assert httpx.get(f"{path}?ticket=nonsense").status_code == 401
    assert httpx.get(path, headers=of_hq).status_code == 403
    other = f"{server}/api/offices/none/events/stream"
    assert httpx.get(other, headers=bearer(token)).status_code == 404
    wrong = httpx.get(path, headers={**bearer(token), "Last-Event-ID": "x"})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "invalid")
    assert httpx.post(path, headers=bearer(token)).status_code == 405


def test_a_server_that_cannot_stream_says_where_to_poll(caller: Any, happen: Happening) -> None:
    client = caller("read")
    refused = client.get("/api/events/stream")
    assert (refused.status_code, refused.json()["code"]) == (501, "no_streams")
    runs = [happen() for _ in range(3)]
    first = client.get("/api/events?limit=2").json()
    rest = client.get(f"/api/events?after={first[-1]['seq']}").json()
    assert [event["run_id"] for event in (*first, *rest)] == [str(run.pk) for run in runs]
    assert client.get("/api/offices/default/events").json() == first + rest
    assert client.get("/api/offices/none/events").status_code == 404


def test_a_number_of_any_length_is_refused_in_words(server: str, token: str) -> None:
    headers = bearer(token) | {"Last-Event-ID": "9" * 5000}
    answer = httpx.get(f"{server}/api/events/stream", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")


def test_who_is_shut_out_hears_no_more(
    server: str, happen: Happening, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this process the stream asks again; the other one would take its fifteen seconds."""
    del server
    monkeypatch.setattr(event_stream, "PING_SECONDS", 0.1)

    async def listen() -> list[str]:
        request = AsyncRequestFactory().get("/", headers=bearer(token))
        answer: Any = await event_stream.stream_events(request)
        frames: AsyncIterator[bytes] = aiter(answer)
        told = [(await anext(frames)).decode()]
        await sync_to_async(ApiToken.objects.all().delete)()
        told += [frame.decode() async for frame in frames]
        await sync_to_async(connections.close_all)()  # of the thread that asked for us
        return told

    told = asyncio.run(asyncio.wait_for(listen(), 20))
    happen()
    assert told[0] == "retry: 1000\n\n"
    assert set(told[1:]) <= {":\n\n"}


def test_one_token_leaves_streams_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EventHub, "_poll", lambda _: None)
    hub = EventHub()

    async def open_them() -> None:
        with ExitStack() as streams:
            for _ in range(MOST_OF_ONE):
                streams.enter_context(hub.listening("token a"))
            with pytest.raises(TooManyListeners, match="with this token"):
                streams.enter_context(hub.listening("token a"))
            streams.enter_context(hub.listening("token b"))

    asyncio.run(open_them())
