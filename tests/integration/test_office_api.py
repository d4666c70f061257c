"""Offices over REST: what is submitted, how it stands, and what is refused."""

from typing import Any

import pytest
from django.test import Client

from scheduling.models import AuditEntry, Office, Run
from scheduling.models.office import OfficeState
from scheduling.states import Outcome
from tests.conftest import JobMaker
from tests.offices import begin, end, make_office, names, states, submit, turn, work

JSON = "application/json"
JOBS = "/api/offices/hq/jobs"
CONFIG = "/api/offices/hq/scheduler/config"

BATCH: dict[str, Any] = {
    "jobs": [
        {"id": "plan", "task": "tests.task", "role": "PO", "params": {"n": 1}},
        {"id": "fe", "task": "tests.task", "role": "FE", "depends_on": ["plan"]},
        {"id": "be", "task": "tests.task", "role": "BE", "depends_on": ["plan"], "priority": -1},
        {"id": "qa", "task": "tests.task", "depends_on": ["fe", "be"], "timeout_ms": 5000},
    ]
}


@pytest.fixture
def office(db: None) -> Office:
    del db
    return make_office()


@pytest.fixture
def client(caller: Any) -> Client:
    made: Client = caller("admin")
    return made


def test_an_office_is_created_listed_and_looked_at(client: Client) -> None:
    made = client.post("/api/offices", {"office_id": "hq", "name": "Head"}, content_type=JSON)
    assert made.status_code == 201
    told = {
        "office_id": "hq", "scope": "real", "name": "Head", "state": "active",
        "max_concurrent_jobs": 3,
    }  # fmt: skip
    assert made.json() == told
    assert client.get("/api/offices").json() == [told]
    assert client.get("/api/offices/hq").json() == told
    again = client.post("/api/offices", {"office_id": "hq"}, content_type=JSON)
    assert (again.status_code, again.json()["code"]) == (409, "duplicate_office")


@pytest.mark.usefixtures("office")
def test_a_batch_is_taken_and_told_with_its_order(client: Client) -> None:
    answer = client.post(JOBS, BATCH, content_type=JSON)
    assert answer.status_code == 201
    told = answer.json()
    assert told["execution_order"] == [["plan"], ["fe", "be"], ["qa"]]
    assert list(told["jobs"]) == ["plan", "fe", "be", "qa"]
    one = client.get(f"{JOBS}/{told['jobs']['qa']}").json()
    assert (one["status"], one["waits_for"], one["timeout_ms"]) == ("pending", 2, 5000)
    assert set(one["depends_on"]) == {told["jobs"]["fe"], told["jobs"]["be"]}
    assert one["attempts"] == []


@pytest.mark.usefixtures("office")
def test_the_same_key_gives_the_same_submission_and_another_body_is_refused(
    client: Client,
) -> None:
    headers = {"Idempotency-Key": "once"}
    first = client.post(JOBS, BATCH, content_type=JSON, headers=headers).json()
    assert client.post(JOBS, BATCH, content_type=JSON, headers=headers).json() == first
    other = {"jobs": BATCH["jobs"][:1]}
    refused = client.post(JOBS, other, content_type=JSON, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (409, "idempotency_key_reused")
    assert Run.objects.count() == 4


@pytest.mark.usefixtures("office")
@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        ({"depends_on": ["qa"]}, "dependency_cycle", "plan"),
        ({"depends_on": ["nobody"]}, "unknown_reference", "'nobody'"),
        ({"id": "qa"}, "invalid_job", "there twice"),
        ({"priority": True}, "invalid", "priority"),
        ({"timeout_ms": 1}, "invalid", "timeout_ms"),
        ({"nonsense": 1}, "invalid", "nonsense"),
        ({"queue": "mock.x"}, "invalid_job", "scope 'mock'"),
    ],
)
def test_a_bad_batch_is_refused_whole_and_says_where(
    client: Client, change: dict[str, Any], code: str, said: str
) -> None:
    first, *others = BATCH["jobs"]
    answer = client.post(JOBS, {"jobs": [{**first, **change}, *others]}, content_type=JSON)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert said in answer.json()["message"]
    assert not Run.objects.exists()


def test_an_unknown_office_and_a_run_of_another_one_are_not_found(
    client: Client, office: Office
) -> None:
    [run] = submit(make_office("other"), work("a")).values()
    del office
    for path, code in ((f"{JOBS}/{run.pk}", "unknown_run"), ("/api/offices/x", "unknown_office")):
        answer = client.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, code)


def test_stats_count_by_the_names_of_the_document(client: Client, office: Office) -> None:
    runs = submit(office, work("a"), work("b"), work("c", "b"), work("d"), work("e"))
    turn()
    end(runs["a"])
    end(runs["b"], Outcome.FAILED, code="BROKEN")
    turn()
    told = client.get("/api/offices/hq/scheduler/stats").json()
    average = told.pop("avg_completion_time")
    assert told == {
        "pending": 0, "ready": 0, "processing": 2, "done": 1, "failed": 1, "cancelled": 1,
        "timeout": 0,
    }  # fmt: skip
    assert average >= 0


def test_an_idle_office_has_no_average(client: Client, office: Office) -> None:
    del office
    assert client.get("/api/offices/hq/scheduler/stats").json()["avg_completion_time"] is None


def test_config_is_read_and_changed_in_either_spelling(client: Client, office: Office) -> None:
    before = client.get(CONFIG).json()
    assert before["max_concurrent_by_role"] == {"BE": 1, "DevOps": 1, "FE": 1, "QA": 1}
    assert before["timeout_by_role_ms"]["QA"] == 45 * 60_000
    assert (before["max_retries"], before["retry_backoff"]) == (2, "exponential")
    assert before["retry_base_delay_ms"] == 60_000
    body = {
        "maxConcurrentJobs": 5, "max_concurrent_by_role": {"FE": 2, "BE": None, "Bot": 1},
        "timeoutByRoleMs": {"Bot": 1_000}, "retryBackoff": "linear", "defaultTimeoutMs": 60_000,
    }  # fmt: skip
    after = client.patch(CONFIG, body, content_type=JSON)
    assert after.status_code == 200, after.json()
    changed = after.json()
    assert changed["max_concurrent_by_role"] == {"Bot": 1, "DevOps": 1, "FE": 2, "QA": 1}
    assert (changed["max_concurrent_jobs"], changed["default_timeout_ms"]) == (5, 60_000)
    assert (changed["timeout_by_role_ms"]["Bot"], changed["retry_backoff"]) == (1_000, "linear")
    entry = AuditEntry.objects.get(action="change_office")
    assert entry.before
    assert entry.after
    assert entry.before["max_concurrent"] == 3
    assert entry.after["FE.max_concurrent"] == 2
    del office


@pytest.mark.parametrize(
    "body",
    [
        {"max_concurrent_jobs": 0},
        {"max_concurrent_by_role": {"FE": 0}},
        {"retry_backoff": "sideways"},
        {"max_concurrent_by_role": {"": 1}},
        {"nonsense": 1},
    ],
)
def test_a_bad_config_changes_nothing(client: Client, office: Office, body: dict[str, Any]) -> None:
    answer = client.patch(CONFIG, body, content_type=JSON)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert Office.objects.get(pk=office.pk).max_concurrent == 3


def test_runs_are_listed_by_what_is_asked(client: Client, office: Office) -> None:
    submit(office, work("a", role="FE"), work("b", role="FE"), work("c"))
    turn()
    listed = client.get(JOBS).json()
    assert [run["id"] for run in listed] == ["c", "b", "a"]
    ready = client.get(JOBS, {"status": "ready"}).json()
    assert [run["id"] for run in ready] == ["b"]
    assert [run["id"] for run in client.get(f"{JOBS}?role=FE&limit=1").json()] == ["b"]
    submission = listed[0]["submission_id"]
    assert len(client.get(JOBS, {"submission_id": submission}).json()) == 3
    assert client.get(JOBS, {"status": "nonsense"}).status_code == 422


def test_a_run_is_cancelled_and_retried_with_what_hangs_on_it(
    client: Client, office: Office
) -> None:
    runs = submit(office, work("a"), work("b", "a"))
    turn()
    path = f"{JOBS}/{runs['a'].pk}"
    cancelled = client.post(f"{path}/cancel").json()
    assert cancelled["status"] == "cancelled"
    assert cancelled["cancelled_at"] is not None
    turn()
    again = client.post(f"{path}/cancel")
    assert (again.status_code, again.json()["code"]) == (409, "not_possible")
    alone = client.post(f"{JOBS}/{runs['b'].pk}/retry")
    assert (alone.status_code, alone.json()["code"]) == (409, "not_possible")
    assert client.post(f"{path}/retry").json()["status"] == "ready"
    assert client.get(f"{JOBS}/{runs['b'].pk}").json()["status"] == "pending"
    assert client.post(f"{path}/retry").status_code == 409


def test_a_running_run_may_be_cancelled_twice(client: Client, office: Office) -> None:
    run = submit(office, work("a"))["a"]
    turn()
    begin(run)
    for _ in range(2):
        answer = client.post(f"{JOBS}/{run.pk}/cancel")
        assert (answer.status_code, answer.json()["status"]) == (200, "stopping")
    assert AuditEntry.objects.filter(action="cancel_run").count() == 1


def test_reading_and_operating_tokens_may_not_do_more(caller: Any, office: Office) -> None:
    reader, operator = caller("read"), caller("operate")
    assert reader.post(JOBS, BATCH, content_type=JSON).status_code == 403
    assert operator.post("/api/offices", {"office_id": "x"}, content_type=JSON).status_code == 403
    body = {"max_concurrent_jobs": 9}
    assert operator.patch(CONFIG, body, content_type=JSON).status_code == 403
    assert not Run.objects.exists()
    assert office.max_concurrent == 3


def test_an_archived_office_takes_no_work(client: Client, office: Office) -> None:
    Office.objects.filter(pk=office.pk).update(state=OfficeState.ARCHIVED)
    answer = client.post(JOBS, BATCH, content_type=JSON)
    assert (answer.status_code, answer.json()["code"]) == (409, "office_archived")


def test_everything_open_is_cancelled_of_an_office_or_of_one_submission(
    client: Client, office: Office
) -> None:
    first = submit(office, work("a"), work("b", "a"))
    second = submit(office, work("c"), work("d", "c"))
    elsewhere = submit(make_office("other"), work("a"))
    turn()
    first["a"].refresh_from_db()
    misspelt = client.post(f"{JOBS}/cancel-all?submision_id={first['a'].submission_id}")
    assert misspelt.status_code == 422
    assert misspelt.json()["message"].endswith(
        "'submision_id' is not known here: give submission_id"
    )
    path = f"{JOBS}/cancel-all?submission_id={first['a'].submission_id}"
    assert client.post(path).json() == {"cancelled": 2}
    assert set(states(first).values()) == {"cancelled cancelled by admin (test)"}
    assert client.post(f"{JOBS}/cancel-all").json() == {"cancelled": 2}
    assert client.post(f"{JOBS}/cancel-all").json() == {"cancelled": 0}
    assert all(state.startswith("cancelled") for state in states(second).values())
    assert states(elsewhere) == {"a": "queued"}
    assert AuditEntry.objects.filter(action="cancel_all").count() == 2


def test_waiting_work_is_moved_up_and_handed_over_and_started_work_is_not(
    client: Client, office: Office
) -> None:
    runs = submit(office, work("a", role="FE"), work("b", role="FE"), work("c", role="FE"))
    turn()
    path = f"{JOBS}/{runs['c'].pk}"
    moved = client.patch(f"{path}/priority", {"priority": -1}, content_type=JSON)
    assert moved.json()["priority"] == -1
    handed = client.patch(path, {"role": "BE", "assignee": "Kim"}, content_type=JSON).json()
    assert (handed["role"], handed["assignee"]) == ("BE", "Kim")
    assert names(turn()) == ["c"]
    for address, body in ((f"{path}/priority", {"priority": 1}), (path, {"role": "QA"})):
        refused = client.patch(address, body, content_type=JSON)
        assert (refused.status_code, refused.json()["code"]) == (409, "not_possible")
    assert AuditEntry.objects.filter(action="change_run").count() == 2


def test_an_office_is_paused_and_goes_on(client: Client, office: Office) -> None:
    submit(office, work("a"))
    paused = client.patch("/api/offices/hq", {"state": "paused"}, content_type=JSON)
    assert paused.json()["state"] == "paused"
    assert turn() == []
    client.patch("/api/offices/hq", {"state": "active"}, content_type=JSON)
    assert names(turn()) == ["a"]
    refused = client.patch("/api/offices/hq", {"state": "gone"}, content_type=JSON)
    assert refused.status_code == 422


def test_who_changes_what_he_has_seen_is_told_when_it_changed_meanwhile(client: Client) -> None:
    make_office()
    seen = client.get(CONFIG).headers["ETag"]
    match = {"If-Match": seen}
    body = {"max_concurrent_jobs": 5}
    changed = client.patch(CONFIG, body, content_type=JSON, headers=match)
    assert changed.status_code == 200
    assert changed.headers["ETag"] == client.get(CONFIG).headers["ETag"] != seen
    late = client.patch(CONFIG, {"max_concurrent_jobs": 9}, content_type=JSON, headers=match)
    assert (late.status_code, late.json()["code"]) == (412, "changed_meanwhile")
    assert Office.objects.get().max_concurrent == 5
    for tags in ("*", f'"0", {changed.headers["ETag"]}'):
        again = client.patch(CONFIG, body, content_type=JSON, headers={"If-Match": tags})
        assert again.status_code == 200


def one(**fields: Any) -> dict[str, Any]:
    return {"jobs": [{"id": "a", "task": "tests.task", **fields}]}


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"role": "r" * 65}, "role"),
        ({"queue": "q" * 196}, "queue"),
        ({"role": "FE\x00"}, "role"),
        ({"queue": "q\x00"}, "queue"),
    ],
)
@pytest.mark.usefixtures("office")
def test_what_no_column_takes_is_refused_with_its_place(
    client: Client, fields: dict[str, Any], place: str
) -> None:
    answer = client.post(JOBS, one(**fields), content_type=JSON)
    assert answer.status_code == 422
    assert place in answer.json()["message"]
    assert not Run.objects.exists()


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/api/offices/hq", {"name": "a\x00b"}, "name"),
        (CONFIG, {"maxConcurrentByRole": {"F\x00": 1}}, "role"),
    ],
)
@pytest.mark.usefixtures("office")
def test_an_office_takes_no_text_that_cannot_be_stored(
    client: Client, path: str, body: dict[str, Any], field: str
) -> None:
    answer = client.patch(path, body, content_type=JSON)
    assert answer.status_code == 422
    assert answer.json()["message"] == f"{field}: has a NUL or half a surrogate pair: remove it"


def test_a_token_for_one_office_runs_what_is_that_offices(office: Office, caller: Any) -> None:
    """Workers know all tasks, and would run the platform's own, or somebody else's queue."""
    clients: Client = caller("operate", "real", "hq")
    for fields, place in (
        ({"task": "scheduling.tasks.backup_maintenance"}, "jobs.0.task"),
        ({"queue": "real.jobs.pipeline"}, "jobs.0.queue"),
        ({"queue": "offices.other"}, "jobs.0.queue"),
    ):
        answer = clients.post(JOBS, one(**fields), content_type=JSON)
        assert answer.status_code == 422
        assert place in answer.json()["message"]
    assert not Run.objects.exists()
    for number, queue in enumerate(("", office.queue)):
        taken = {"jobs": [{"id": f"{number}", "task": "tests.task", "queue": queue}]}
        assert clients.post(JOBS, taken, content_type=JSON).status_code == 201
    assert set(Run.objects.values_list("queue", flat=True)) == {"real.offices.hq"}


@pytest.mark.usefixtures("office")
def test_work_goes_to_no_queue_of_foreign_workers(client: Client) -> None:
    """They drop what Celery sends."""
    made = {"job_id": "buy", "queue": "real.jobs.buy", "interval_seconds": 60}
    assert client.post("/jobs", made, content_type=JSON).status_code == 201
    answer = client.post(JOBS, one(queue="jobs.buy"), content_type=JSON)
    assert answer.status_code == 422
    assert "'real.jobs.buy' has the messages of job 'buy'" in answer.json()["message"]


def test_a_request_that_is_repeated_is_answered_though_the_office_was_archived_since(
    office: Office, client: Client
) -> None:
    key = {"Idempotency-Key": "once"}
    first = client.post(JOBS, one(), content_type=JSON, headers=key)
    office.state = OfficeState.ARCHIVED
    office.save()
    again = client.post(JOBS, one(), content_type=JSON, headers=key)
    assert again.json() == first.json()


def test_a_list_says_of_large_params_only_how_large_they_are(
    client: Client, office: Office
) -> None:
    """To redact them takes a while for each, and a list may hold a thousand."""
    params = {"text": "a b " * 500}
    run = submit(office, work("a", params=params))["a"]
    [listed] = client.get(JOBS).json()
    assert listed["params"] == {"too_large_bytes": 2_012, "limit_bytes": 1_024}
    assert client.get(f"{JOBS}/{run.pk}").json()["params"] == params


def test_a_run_that_is_named_in_two_spellings_is_waited_for_once(
    client: Client, office: Office
) -> None:
    first = submit(office, work("a"))["a"]
    again = {"id": "b", "task": "tests.task", "depends_on": [str(first.pk), str(first.pk).upper()]}
    answer = client.post(JOBS, {"jobs": [again]}, content_type=JSON)
    assert answer.status_code == 201
    assert Run.objects.get(name="b").unmet == 1


def test_a_deadline_is_extended_within_the_calendar(client: Client, office: Office) -> None:
    run = submit(office, work("a"))["a"]
    turn()
    begin(run)
    for _ in range(90):
        body = {"extend_ms": 3_153_600_000_000}
        path = f"{JOBS}/{run.pk}/deadline"
        assert client.patch(path, body, content_type=JSON).status_code == 200
    run.refresh_from_db()
    assert run.deadline_at is not None
    assert run.deadline_at.year == 9000


def test_the_failure_that_ends_a_run_is_no_retry(client: Client, office: Office) -> None:
    run = submit(office, work("a", max_retries=0))["a"]
    turn()
    begin(run)
    end(run, Outcome.FAILED, code="BROKEN")
    told = client.get(f"{JOBS}/{run.pk}").json()
    assert (told["status"], told["retry_count"], told["max_retries"]) == ("failed", 0, 0)
    explained = client.get(f"{JOBS}/{run.pk}/explain").json()
    assert explained["note"].startswith("BROKEN")


def test_the_runs_of_jobs_are_those_of_the_default_office(
    client: Client, make_job: JobMaker
) -> None:
    job = make_job()
    run_id = client.post("/jobs/job/run-now", content_type=JSON).json()["run_id"]
    path = "/api/offices/default/jobs"
    assert [item["job_id"] for item in client.get(path).json()] == [job.job_id]
    assert client.get(f"{path}/{run_id}").json()["status"] == "ready"
    assert client.post(f"{path}/{run_id}/cancel").json()["status"] == "cancelled"
    assert client.get("/api/offices/default").status_code == 404


def test_to_create_the_default_office_limits_nothing_unless_it_says_so(client: Client) -> None:
    made = client.post("/api/offices", {"office_id": "default"}, content_type=JSON).json()
    assert made["max_concurrent_jobs"] is None


@pytest.mark.parametrize("tag", ["", ",,,", '"another"'])
def test_a_lost_tag_changes_nothing(client: Client, office: Office, tag: str) -> None:
    del office
    body = {"max_concurrent_jobs": 9}
    headers = {"If-Match": tag}
    assert client.patch(CONFIG, body, content_type=JSON, headers=headers).status_code == 412
    assert client.patch(CONFIG, body, content_type=JSON).status_code == 200


def test_a_body_that_is_no_json_is_told_where(client: Client, office: Office) -> None:
    del office
    answer = client.post(JOBS, '{"jobs": [', content_type=JSON)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
    assert "the body is no JSON: " in answer.json()["message"]
    assert "column 11" in answer.json()["message"]


def test_so_many_roles_at_once_are_refused(client: Client, office: Office) -> None:
    del office
    roles = {"max_concurrent_by_role": {f"role-{number}": 1 for number in range(201)}}
    assert client.patch(CONFIG, roles, content_type=JSON).status_code == 422
