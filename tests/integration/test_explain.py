"""Why something is not running, as the API and the command tell it.

That it is the truth is shown by `property/test_explain_truth.py`.
"""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from scheduling.actions.cancel_runs import cancel_runs
from scheduling.actions.pause_job import pause_job
from scheduling.actions.trigger_run import trigger_run
from scheduling.clock import database_now
from scheduling.explain.job import explain_job, explain_jobs
from scheduling.explain.run import explain_run
from scheduling.models import Job, Run, WorkerProcess
from scheduling.states import Outcome
from scheduling.transitions import NOT_SERVED, note_unstarted
from tests.conftest import JobMaker
from tests.offices import OPERATOR, begin, end, make_office, submit, turn, work


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    call_command("explain", *arguments)
    return capsys.readouterr().out


def test_the_command_says_who_paused_a_job_and_what_would_open_it(
    make_job: JobMaker, capsys: pytest.CaptureFixture[str]
) -> None:
    pause_job(make_job("nightly"), OPERATOR, reason="maintenance")
    lines = told(capsys, "nightly").splitlines()
    assert lines[0] == "job real:nightly: idle"
    assert lines[2] == "paused: paused by tester: maintenance"
    assert lines[3].startswith("  since 20")
    assert lines[4] == "  to change that: resume it, or run it now"
    assert [line.split()[:2] for line in lines[8:]] == [
        ["enabled", "open"],
        ["paused", "CLOSED"],
        ["schedule", "open"],
        ["breaker", "open"],
        ["due", "CLOSED"],
    ]


def test_the_command_explains_a_run_as_json(
    make_job: JobMaker, capsys: pytest.CaptureFixture[str]
) -> None:
    run = trigger_run(make_job(every=None), OPERATOR)
    document = json.loads(told(capsys, str(run.pk), "--json"))
    assert (document["state"], document["blocking"]["name"]) == ("ready", "beat")


def test_what_is_not_there_is_named_with_where_to_look(db: None) -> None:
    del db
    with pytest.raises(CommandError, match=r"no job and no run 'nihgtly' in scope 'real': manage"):
        call_command("explain", "nihgtly")


def test_the_api_explains_a_job(caller: Any, make_job: JobMaker) -> None:
    pause_job(make_job(), OPERATOR, reason="key is sk-proj-abcdefghijklmnopqrstuvwxyz123456")
    reader: Client = caller("read")
    answer = reader.get("/jobs/job/explain").json()
    assert answer["blocking"]["name"] == "paused"
    assert "sk-proj" not in answer["blocking"]["says"]
    assert reader.get("/jobs/job").json()["blocking"] == answer["blocking"]
    assert reader.get("/jobs").json()[0]["blocking"] == answer["blocking"]
    assert reader.get("/jobs/none/explain").status_code == 404


def test_the_api_explains_a_run_of_an_office(caller: Any, db: None) -> None:
    del db
    runs = submit(make_office(), work("plan"), work("build", "plan"))
    answer = caller("read").get(f"/api/offices/hq/jobs/{runs['build'].pk}/explain").json()
    assert answer["what"] == f"run build {runs['build'].pk}"
    assert answer["blocking"]["says"] == f"it waits for plan {runs['plan'].pk}, which is pending"


def test_a_job_under_way_is_explained_by_its_run(make_job: JobMaker) -> None:
    job = make_job()
    run = trigger_run(job, OPERATOR)
    waits = explain_job(job, now=database_now())
    assert (waits.what, waits.state) == (f"job real:job, run {run.pk}", "ready")
    begin(*turn())
    runs = explain_job(job, now=database_now())
    assert (runs.state, runs.blocking) == ("running", None)
    assert runs.note.startswith("attempt 1, since 20")
    cancel_runs([run.pk], OPERATOR)
    stops = explain_job(job, now=database_now()).blocking
    assert stops is not None
    assert stops.name == "stopping"


def test_what_has_ended_says_how(make_job: JobMaker) -> None:
    run = trigger_run(make_job(), OPERATOR)
    cancel_runs([run.pk], OPERATOR)
    found = explain_run(Run.objects.get(pk=run.pk), now=database_now())
    assert (found.state, found.gates) == ("cancelled", [])


def test_a_message_that_nobody_takes_says_who_is_missing(make_job: JobMaker) -> None:
    run = trigger_run(make_job(), OPERATOR)
    turn()

    def blocking() -> tuple[str, str]:
        gate = explain_run(Run.objects.get(pk=run.pk), now=database_now()).blocking
        assert gate is not None
        return gate.name, gate.says

    assert blocking() == ("message", "the broker has not taken its message yet")
    Run.objects.update(published_at=database_now())
    assert blocking() == ("worker", "no live worker serves the queue real.jobs.job")
    WorkerProcess.objects.create(
        scope="real", hostname="w", pid=1, pool="prefork", concurrency=3, can_stop=True,
        queues=["real.jobs.job"], started_at=database_now(),
    )  # fmt: skip
    assert blocking()[1].startswith("its message waits for one of 3 processes on the queue")
    note_unstarted([run.pk], error="no worker knows the task 'tests.tusk'", error_code=NOT_SERVED)
    assert blocking() == ("worker", "no worker knows the task 'tests.tusk'")


def test_a_job_whose_schedule_is_spent_or_gone_says_so(make_job: JobMaker) -> None:
    spent = make_job("spent")
    Job.objects.filter(pk=spent.pk).update(enabled=False, one_off=True, next_due_at=None)
    run = trigger_run(spent, OPERATOR)
    cancel_runs([run.pk], OPERATOR)
    Run.objects.update(scheduled_for=database_now())
    never = make_job("never")
    Job.objects.filter(pk=never.pk).update(enabled=False, one_off=True, next_due_at=None)
    by_hand = make_job("by-hand", every=None)
    overdue = make_job("overdue")
    Job.objects.filter(pk=overdue.pk).update(next_due_at=database_now() - timedelta(minutes=5))
    jobs = [Job.objects.get(pk=job.pk) for job in (spent, never, by_hand, overdue)]
    blocking = [found.blocking for found in explain_jobs(jobs, now=database_now())]
    assert [gate and (gate.name, gate.says) for gate in blocking] == [
        ("enabled", "it was to run once, and has"),
        ("enabled", "it is disabled"),
        ("schedule", "it has no schedule to come: only run-now starts it"),
        ("beat", "no beat has planned what fell due"),
    ]


def test_a_retry_says_what_failed_and_when_it_is_tried_again(make_job: JobMaker) -> None:
    run = trigger_run(make_job(max_retries=3, retry_base=timedelta(hours=1)), OPERATOR)
    turn()
    end(run, Outcome.FAILED, code="NETWORK_ERROR", retryable=True)
    gate = explain_run(Run.objects.get(pk=run.pk), now=database_now()).blocking
    assert gate is not None
    assert gate.name == "retry"
    assert gate.says == "attempt 1 failed: NETWORK_ERROR; the next one has its time"
    assert gate.until is not None


def test_what_failed_before_is_not_told_of_the_next_attempt(make_job: JobMaker) -> None:
    run = trigger_run(make_job(max_retries=3, retry_base=timedelta(0)), OPERATOR)
    turn()
    end(run, Outcome.FAILED, code="boom", retryable=True)
    turn()
    gate = explain_run(Run.objects.get(pk=run.pk), now=database_now()).blocking
    assert gate is not None
    assert (gate.name, gate.says) == ("message", "the broker has not taken its message yet")


def test_a_paused_chain_is_paused_above_all(make_job: JobMaker) -> None:
    job = make_job(reschedule_mode="queue")
    pause_job(job, OPERATOR, reason="maintenance")
    found = explain_job(Job.objects.get(pk=job.pk), now=database_now())
    assert [gate.name for gate in found.gates if not gate.open] == ["paused"]


def test_a_message_to_an_exchange_waits_for_whoever_is_bound_there(make_job: JobMaker) -> None:
    job = make_job()
    Job.objects.filter(pk=job.pk).update(routing={"exchange": "x", "routing_key": "k"})
    run = trigger_run(Job.objects.get(pk=job.pk), OPERATOR)
    turn()
    Run.objects.update(published_at=database_now())
    gate = explain_run(Run.objects.get(pk=run.pk), now=database_now()).blocking
    assert gate is not None
    assert gate.says == "whoever takes from the exchange x, key k has not"


def test_a_run_that_cannot_be_read_hides_no_job(caller: Any, make_job: JobMaker) -> None:
    run = trigger_run(make_job(), OPERATOR)
    begin(*turn())
    with connection.cursor() as cursor:
        key = run.pk.hex if connection.vendor == "sqlite" else run.pk
        value = "'soon'" if connection.vendor == "sqlite" else "interval '9999999 years'"
        sql = f"UPDATE scheduling_run SET timeout = {value} WHERE id = %s"  # noqa: S608 ours
        cursor.execute(sql, [key])
    answer = caller("read").get("/jobs")
    assert (answer.status_code, answer.json()[0]["blocking"]) == (200, None)


def test_many_jobs_are_explained_in_as_many_queries_as_few(
    make_job: JobMaker, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    jobs = [make_job(f"job{n}") for n in range(20)]
    for job in jobs[:15]:
        trigger_run(job, OPERATOR)
    with django_assert_max_num_queries(20):
        assert len(explain_jobs(jobs, now=database_now())) == 20
