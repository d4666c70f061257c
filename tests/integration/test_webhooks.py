"""Webhooks: made once, signed, tried again, and never sent into the own network unasked."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.test import Client

from scheduling.actions.audit import Operator
from scheduling.actions.cancel_runs import cancel_runs
from scheduling.clock import database_now
from scheduling.engine.events import guarded_http, webhook_sender
from scheduling.engine.events.fan_out import fan_out
from scheduling.engine.events.guarded_http import RefusedAddress, check_url
from scheduling.engine.events.sequence import number_events
from scheduling.engine.events.webhook_sender import (
    MOST_TRIES,
    WebhookSender,
    claim_due,
    forget_ended,
    note,
    send,
    signature,
)
from scheduling.models import AuditEntry, Run, RunEvent, Webhook, WebhookDelivery
from tests.cluster import CHECKOUT
from tests.offices import make_office, submit, work
from tests.servers import wait_for

JSON: Any = {"content_type": "application/json"}


class Receiver(ThreadingHTTPServer):
    """Somebody else's server: keeps what it gets, and answers what it is told to."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[int] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((dict(self.headers), body))
        status = self.server.answers.pop(0) if self.server.answers else 204
        self.send_response(status)
        if status == 302:
            self.send_header("Location", self.server.url)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    settings.OPS_WEBHOOK_HOSTS = ["127.0.0.0/8"]
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def admin(caller: Any) -> Client:
    client: Client = caller("admin")
    return client


def make(admin: Client, url: str, **fields: Any) -> dict[str, Any]:
    answer = admin.post("/api/webhooks", {"url": url, **fields}, **JSON)
    assert answer.status_code == 201, answer.content
    return dict(answer.json())


def documented() -> dict[str, Any]:
    """Run what docs/events.md gives receivers."""
    document = (CHECKOUT / "docs" / "events.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    exec(document.split("```python\n")[1].partition("```")[0], names)  # noqa: S102 our own text
    return names


def send_all(at: Any = None) -> list[int | str]:
    """Do what the beat's thread does, once."""
    now = at or database_now()
    fan_out("real", now=now)
    results = []
    for webhook in Webhook.objects.filter(enabled=True):
        for delivery in claim_due(webhook, most=100, now=now):
            results.append(send(delivery))
            note(delivery, results[-1], now=now)
    return results


def test_what_happens_is_told_once_and_signed(
    admin: Client, receiver: Receiver, happen: Callable[[], Run]
) -> None:
    happen()
    secret = make(admin, receiver.url)["secret"]
    run = happen()
    assert send_all() == [204]
    assert send_all() == []
    [(headers, body)] = receiver.got
    told = json.loads(body)
    assert (told["type"], told["run_id"]) == ("job_cancelled", str(run.pk))
    assert headers["X-Ops-Event"] == "job_cancelled"
    assert headers["Host"] == receiver.url.split("/")[2]
    is_ours = documented()["is_ours"]
    assert is_ours(secret, headers["X-Ops-Signature"], body)
    assert not is_ours(secret, headers["X-Ops-Signature"], body + b" ")
    assert not is_ours("another", headers["X-Ops-Signature"], body)
    old = f"t=1,v1={signature(secret, 1, body)}"
    assert not is_ours(secret, old, body)
    assert WebhookDelivery.objects.get().state == "delivered"


def test_what_is_not_taken_is_tried_again_with_growing_waits_under_the_same_key(
    admin: Client, receiver: Receiver, happen: Callable[[], Run]
) -> None:
    webhook = make(admin, receiver.url)
    happen()
    receiver.answers = [500, 302]
    now = database_now()
    assert send_all(now) == [500]
    assert send_all(now + timedelta(seconds=9)) == []
    assert send_all(now + timedelta(seconds=10)) == [302]  # a redirect is not followed
    assert send_all(now + timedelta(seconds=29)) == []
    assert send_all(now + timedelta(seconds=30)) == [204]
    assert len({headers["X-Ops-Delivery"] for headers, _ in receiver.got}) == 1
    [told] = admin.get(f"/api/webhooks/{webhook['id']}/deliveries").json()
    assert (told["state"], told["tries"], told["status"]) == ("delivered", 3, 204)


def test_it_is_given_up_after_some_hours(
    admin: Client, receiver: Receiver, happen: Callable[[], Run]
) -> None:
    webhook = make(admin, receiver.url)
    happen()
    receiver.answers = [503] * MOST_TRIES
    now, tries = database_now(), 0
    while not WebhookDelivery.objects.filter(state="failed").exists():
        tries += len(send_all(now))
        now += timedelta(hours=1)
    assert tries == MOST_TRIES
    [told] = admin.get(f"/api/webhooks/{webhook['id']}/deliveries?state=failed").json()
    assert told["error"] == "answered 503"
    assert forget_ended(before=now + timedelta(days=1)) == 1


def test_a_sender_that_died_leaves_its_try_to_the_next(
    admin: Client, receiver: Receiver, happen: Callable[[], Run]
) -> None:
    make(admin, receiver.url)
    happen()
    now = database_now()
    fan_out("real", now=now)
    webhook = Webhook.objects.get()
    [lost] = claim_due(webhook, most=5, now=now)
    assert claim_due(webhook, most=5, now=now + timedelta(seconds=59)) == []
    [again] = claim_due(webhook, most=5, now=now + timedelta(seconds=60))
    note(again, 204, now=now)
    note(lost, "too late", now=now)
    delivery = WebhookDelivery.objects.get()
    assert (delivery.state, delivery.tries) == ("delivered", 2)


def test_it_is_told_of_what_it_asked_for_only(
    admin: Client, receiver: Receiver, happen: Callable[[], Run], operator: Operator
) -> None:
    office = make_office()
    make(admin, receiver.url, office_id="hq", events=["job_cancelled"])
    make(admin, receiver.url + "2", events=["job_failed"])
    happen()
    run = submit(office, work("a"))["a"]
    cancel_runs([run.pk], operator)
    number_events()
    send_all()
    assert [json.loads(body)["run_id"] for _, body in receiver.got] == [str(run.pk)]


@pytest.mark.django_db(transaction=True)
def test_one_that_hangs_keeps_no_other_from_being_told_and_no_beat_from_its_end(
    admin: Client, receiver: Receiver, happen: Callable[[], Run]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, and answers none
        make(admin, f"http://127.0.0.1:{silent.getsockname()[1]}/")
        make(admin, receiver.url)
        for _ in range(200):
            happen()
        sender = WebhookSender("real")
        sender.start()
        try:
            wait_for(lambda: len(receiver.got) == 200, seconds=9, what="the other is told all")
            run = happen()  # and goes on being told of what happens now
            wait_for(lambda: len(receiver.got) == 201, seconds=9, what="it is told the next")
        finally:
            sender.stop()
    assert json.loads(receiver.got[-1][1])["run_id"] == str(run.pk)
    assert not sender.is_alive()


def test_switched_off_it_is_told_nothing_and_on_again_from_then_on(
    admin: Client, receiver: Receiver, happen: Callable[[], Run]
) -> None:
    webhook = make(admin, receiver.url)
    path = f"/api/webhooks/{webhook['id']}"
    assert admin.patch(path, {"enabled": False}, **JSON).json()["enabled"] is False
    happen()
    assert send_all() == []
    admin.patch(path, {"enabled": True}, **JSON)
    run = happen()
    assert send_all() == [204]
    assert json.loads(receiver.got[0][1])["run_id"] == str(run.pk)
    assert admin.delete(path).status_code == 204
    assert admin.get("/api/webhooks").json() == []
    actions = AuditEntry.objects.filter(action__contains="webhook").order_by("id")
    assert list(actions.values_list("action", flat=True)) == [
        "create_webhook", "switch_webhook", "switch_webhook", "delete_webhook",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"url": "ftp://example.org/x"}, "url"),
        ({"url": "nonsense"}, "url"),
        ({"url": "http://user:password@example.org/"}, "url"),
        ({"url": "http://example.org:99999/"}, "url"),
        ({"events": ["job_exploded"]}, "events"),
        ({"office_id": "none"}, "none"),
    ],
)
def test_what_does_not_fit_is_named(admin: Client, fields: dict[str, Any], named: str) -> None:
    answer = admin.post("/api/webhooks", {"url": "https://example.org/", **fields}, **JSON)
    assert answer.status_code in {404, 422}
    assert named in answer.json()["message"]
    assert not Webhook.objects.exists()


def test_the_same_address_is_told_once(admin: Client) -> None:
    make(admin, "https://example.org/")
    answer = admin.post("/api/webhooks", {"url": "https://example.org/"}, **JSON)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_webhook")


def test_the_secret_is_shown_once(admin: Client) -> None:
    secret = make(admin, "https://example.org/")["secret"]
    assert secret not in admin.get("/api/webhooks").content.decode()
    entries = AuditEntry.objects.values_list("before", "after", "target")
    assert secret not in json.dumps(list(entries))


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "192.168.0.1", "169.254.169.254", "172.16.0.1", "100.64.0.1",
        "0.1.2.3", "224.0.0.1", "::1", "fe80::1", "fd00::1", "::ffff:127.0.0.1",
        "64:ff9b::7f00:1", "2002:7f00:1::", "fec0::1", "64:ff9b:1::7f00:1", "::127.0.0.1",
        "::ffff:0:127.0.0.1",
    ],
)  # fmt: skip
def test_no_private_address_is_reached(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(0, 0, 0, "", (address, 80))])
    with pytest.raises(RefusedAddress, match="inside the own network"):
        guarded_http.post("http://innocent.example.org/", b"", {}, allowed=[])


def test_one_private_address_among_others_is_one_too_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = [(0, 0, 0, "", (address, 80)) for address in ("93.184.216.34", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with pytest.raises(RefusedAddress):
        guarded_http.post("http://innocent.example.org/", b"", {}, allowed=["192.168.0.0/16"])


def test_a_refused_address_is_an_error_of_the_delivery(
    admin: Client, receiver: Receiver, happen: Callable[[], Run], settings: Any
) -> None:
    make(admin, receiver.url)
    happen()
    settings.OPS_WEBHOOK_HOSTS = []
    [result] = send_all()
    assert "OPS_WEBHOOK_HOSTS" in str(result)
    assert receiver.got == []
    settings.OPS_WEBHOOK_HOSTS = ["127.0.0.1"]
    assert send_all(database_now() + timedelta(seconds=11)) == [204]


@pytest.mark.parametrize("url", ["https://example.org", "http://[::1]:8080/x", "http://h.internal"])
def test_plain_addresses_are_taken(url: str) -> None:
    check_url(url)


@pytest.mark.django_db(transaction=True)
def test_the_beats_thread_sends_by_itself(
    admin: Client, receiver: Receiver, happen: Callable[[], Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_sender, "LOOK_EVERY_SECONDS", 0.05)
    make(admin, receiver.url)
    runs = {str(happen().pk) for _ in range(12)}
    sender = WebhookSender("real")
    sender.start()
    try:
        wait_for(lambda: len(receiver.got) == 12, seconds=20, what="all are told")
    finally:
        sender.stop()
    assert {json.loads(body)["run_id"] for _, body in receiver.got} == runs


def test_events_of_another_scope_lock_nothing(
    admin: Client, receiver: Receiver, happen: Callable[[], Run]
) -> None:
    """SQLite has one writer at a time, and another scope may be busy all day."""
    make(admin, receiver.url)
    happen()
    RunEvent.objects.update(scope="mock")
    webhooks = Webhook.objects.in_scope("real").filter(enabled=True)
    sender = WebhookSender("real")
    assert not sender.has_news(webhooks)
    ours = happen()
    assert sender.has_news(webhooks)
    fan_out("real", now=database_now())
    assert WebhookDelivery.objects.get().body["run_id"] == str(ours.pk)
    assert not sender.has_news(webhooks)


def test_who_drips_is_cut_off(
    admin: Client, happen: Callable[[], Run], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each byte begins the wait for the next one anew: the whole has an end of its own."""
    monkeypatch.setattr(guarded_http, "WHOLE_SECONDS", 0.5)
    settings.OPS_WEBHOOK_HOSTS = ["127.0.0.1"]
    over = threading.Event()

    def drip(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
            with suppress(OSError):
                while not over.wait(0.05):
                    connection.sendall(b"x")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        dripping = threading.Thread(target=drip, args=[listening])
        dripping.start()
        make(admin, f"http://127.0.0.1:{listening.getsockname()[1]}/")
        happen()
        [result] = send_all()
        over.set()
        dripping.join()
    assert "no whole answer within" in str(result)


@pytest.mark.parametrize("host", ["10.0.0.1", "127.0.0.1", "[::1]", "169.254.169.254"])
def test_an_address_inside_is_refused_when_it_is_named(admin: Client, host: str) -> None:
    answer = admin.post("/api/webhooks", {"url": f"http://{host}/x"}, **JSON)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_webhook")
    assert "OPS_WEBHOOK_HOSTS" in answer.json()["message"]


def test_why_nobody_answered_is_for_administrators(
    caller: Any, admin: Client, receiver: Receiver, happen: Callable[[], Run], settings: Any
) -> None:
    """It names addresses of the own network."""
    deliveries = f"/api/webhooks/{make(admin, receiver.url)['id']}/deliveries"
    happen()
    settings.OPS_WEBHOOK_HOSTS = []
    send_all()
    assert "127.0.0.1" in admin.get(deliveries).json()[0]["error"]
    assert caller("read").get(deliveries).json()[0]["error"] == "nobody answered"


def test_the_path_of_an_address_is_for_administrators(caller: Any, admin: Client) -> None:
    """Many a service knows its callers by nothing else."""
    url = "https://hooks.example.org/services/T000/very-secret"
    make(admin, url)
    assert admin.get("/api/webhooks").json()[0]["url"] == url
    shown = caller("read").get("/api/webhooks").json()
    assert shown[0]["url"] == "https://hooks.example.org/…"
    assert "secret" not in AuditEntry.objects.get(action="create_webhook").target


def test_the_longest_address_is_taken_and_one_with_a_nul_is_not(admin: Client) -> None:
    start = "https://example.org/"
    make(admin, start + "x" * (500 - len(start)))
    answer = admin.post("/api/webhooks", {"url": start + "a\x00b"}, **JSON)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_webhook")
