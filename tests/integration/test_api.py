"""The REST door: tokens, jobs, and errors in one shape."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from opsproject.api import api
from scheduling.clock import database_now
from scheduling.models import ApiToken, AuditEntry, Pause, Run
from tests.conftest import JobMaker


def test_without_a_token_nothing_is_told(client: Client, make_job: JobMaker) -> None:
    make_job()
    answer = client.get("/jobs")
    assert answer.status_code == 401
    assert answer.json()["code"] == "unauthorized"


@pytest.mark.parametrize("header", ["Bearer nonsense", "Bearer ", "Token x", "Bearer \u00ff"])
def test_a_wrong_token_is_refused(client: Client, db: None, header: str) -> None:
    del db
    assert client.get("/jobs", headers={"Authorization": header}).status_code == 401


def test_jobs_are_listed_as_they_stand(caller: Any, make_job: JobMaker) -> None:
    make_job("b", every=15)
    make_job("a")
    listed = caller("read").get("/jobs").json()
    assert [job["job_id"] for job in listed] == ["a", "b"]
    assert listed[1]["schedule"] == "every 15 seconds"
    assert listed[0]["next_due_at"] is not None


def test_a_reading_token_may_not_write(caller: Any, make_job: JobMaker) -> None:
    make_job()
    reader = caller("read")
    for action in ("run-now", "pause", "resume"):
        answer = reader.post(f"/jobs/job/{action}", content_type="application/json")
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert not Run.objects.exists()
    assert not Pause.objects.exists()


def test_a_token_of_another_scope_is_refused(caller: Any, make_job: JobMaker) -> None:
    make_job()
    assert caller("admin", scope="mock").get("/jobs").status_code == 403


def test_an_expired_token_is_unknown(caller: Any, make_job: JobMaker) -> None:
    make_job()
    client = caller("admin")
    ApiToken.objects.update(expiry=database_now() - timedelta(seconds=1))
    assert client.get("/jobs").status_code == 401


def test_run_now_takes_params_and_a_key(caller: Any, make_job: JobMaker) -> None:
    make_job(params={"a": 1})
    client = caller()
    answers = [
        client.post(
            "/jobs/job/run-now",
            {"params": {"b": 2}},
            content_type="application/json",
            headers={"Idempotency-Key": "once"},
        )
        for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].json() == answers[1].json()
    assert Run.objects.get().params == {"a": 1, "b": 2}


def test_a_key_that_comes_with_something_else_is_refused(caller: Any, make_job: JobMaker) -> None:
    make_job()
    client = caller()
    answers = [
        client.post(
            "/jobs/job/run-now",
            {"params": {"b": value}},
            content_type="application/json",
            headers={"Idempotency-Key": "once"},
        )
        for value in (1, 2)
    ]
    assert [answer.status_code for answer in answers] == [202, 409]
    assert answers[1].json()["code"] == "idempotency_key_reused"
    assert Run.objects.count() == 1


def test_run_now_needs_no_body(caller: Any, make_job: JobMaker) -> None:
    make_job()
    assert caller().generic("POST", "/jobs/job/run-now").status_code == 202


def test_pause_and_resume_are_told_and_audited(caller: Any, make_job: JobMaker) -> None:
    make_job()
    client = caller()
    paused = client.post("/jobs/job/pause", {"reason": "x"}, content_type="application/json")
    assert paused.json()["paused"] is True
    assert client.post("/jobs/job/resume").json()["paused"] is False
    entries = AuditEntry.objects.filter(door="api").order_by("id")
    assert [entry.action for entry in entries] == ["pause_job", "resume_job"]
    assert {entry.actor for entry in entries} == {"admin (test)"}


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/jobs/nope/run-now", {}, 404, "unknown_job"),
        ("/jobs/job/run-now", {"parms": {}}, 422, "invalid"),
        ("/jobs/job/run-now", [], 422, "invalid"),
        ("/jobs/job/pause", {"until": "2020-01-01T00:00:00Z"}, 422, "invalid_job"),
        ("/jobs/job/pause", {"until": "2020-01-01T00:00:00"}, 422, "invalid"),
        ("/jobs/job/pause", {"until": "soon"}, 422, "invalid"),
    ],
)
def test_errors_have_one_shape(
    caller: Any, make_job: JobMaker, path: str, body: Any, status: int, code: str
) -> None:
    make_job()
    answer = caller().post(path, body, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert set(answer.json()) == {"code", "message"}


@pytest.mark.parametrize(
    "body",
    [
        '{"params": {"a": NaN}}',
        '{"params": {"a": 1e999}}',
        '{"params": {"a": "\\u0000"}}',
        '{"params": {"a": "\\ud800"}}',
        '{"params": {"a": ' + "[" * 300 + "]" * 300 + "}}",
        '{"params": {"a": "' + "x" * 70_000 + '"}}',
    ],
)
def test_params_that_no_row_or_message_should_carry_are_refused(
    caller: Any, make_job: JobMaker, body: str
) -> None:
    make_job()
    answer = caller().post("/jobs/job/run-now", body, content_type="application/json")
    assert (answer.status_code, set(answer.json())) == (422, {"code", "message"})
    assert not Run.objects.exists()


def test_a_body_over_the_limit_is_too_large(caller: Any, make_job: JobMaker) -> None:
    make_job()
    body = b" " * 17_000_000
    answer = caller().post("/jobs/job/run-now", body, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_a_pause_to_the_end_of_the_calendar_is_refused(caller: Any, make_job: JobMaker) -> None:
    make_job()
    body = {"until": "9999-12-31T23:59:59-12:00"}
    answer = caller().post("/jobs/job/pause", body, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_job")


def test_the_401_says_how_to_come_in(client: Client, db: None) -> None:
    del db
    assert "Bearer <token>" in client.get("/jobs").json()["message"]


def test_the_api_describes_itself(client: Client, db: None) -> None:
    del db
    assert "/jobs/{job_id}/run-now" in client.get("/api/openapi.json").json()["paths"]


def test_a_token_that_asks_too_often_waits_and_others_do_not(
    caller: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api.throttle, "most", 3)
    monkeypatch.setattr(api.throttle, "seconds", 86_400)
    busy, other = caller("read"), caller("read")
    answers = [busy.get("/jobs") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[3].json()["code"] == "too_many_requests"
    assert 0 < int(answers[3].headers["Retry-After"]) <= 86_400
    assert other.get("/jobs").status_code == 200
