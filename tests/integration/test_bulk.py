"""Many rows are written at once, each with values of its own, whatever their types."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import DataError, IntegrityError, connection, transaction
from uuid_utils.compat import uuid7

from scheduling.bulk import insert_rows, update_rows
from scheduling.clock import database_now
from scheduling.engine.new_run import new_run
from scheduling.models import Job, Run
from scheduling.states import Trigger
from scheduling.transitions import open_runs
from tests.conftest import JobMaker

VALUES: list[dict[str, Any]] = [
    {
        "reason": "'; DROP TABLE scheduling_run; -- %s",
        "attempt": 3,
        "attempt_id": uuid7(),
        "started_at": datetime(2026, 3, 29, 1, 59, 59, 999_999, tzinfo=UTC),
        "timeout": timedelta(days=400, microseconds=1),
        "result": {"a": [1, None, "é\\u0001"]},
        "retry_jitter": True,
        "non_retryable_codes": ["{", ",", '"', "\\"],
    },
    {
        "reason": "",
        "attempt": 0,
        "attempt_id": None,
        "started_at": None,
        "timeout": None,
        "result": None,
        "retry_jitter": False,
        "non_retryable_codes": [],
    },
    {
        "reason": "{},NULL",
        "attempt": 2_147_483_647,
        "attempt_id": uuid7(),
        "started_at": datetime(1970, 1, 1, tzinfo=UTC),
        "timeout": timedelta(0),
        "result": "NULL",
        "retry_jitter": False,
        "non_retryable_codes": ["NULL"],
    },
]


def runs_of(job: Job, count: int) -> list[Run]:
    runs = [new_run(job, trigger=Trigger.MANUAL, now=database_now()) for _ in range(count)]
    open_runs(runs)
    return runs


def test_each_row_gets_its_own_values_of_every_type(make_job: JobMaker) -> None:
    runs = runs_of(make_job(), len(VALUES))
    for run, values in zip(runs, VALUES, strict=True):
        for name, value in values.items():
            setattr(run, name, value)
    assert update_rows(runs, VALUES[0]) == len(VALUES)
    for run, values in zip(runs, VALUES, strict=True):
        run.refresh_from_db()
        assert {name: getattr(run, name) for name in values} == values


def test_inserted_rows_are_what_the_objects_are(make_job: JobMaker) -> None:
    job = make_job()
    runs = [new_run(job, trigger=Trigger.MANUAL, now=database_now()) for _ in VALUES]
    for run, values in zip(runs, VALUES, strict=True):
        for name, value in values.items():
            setattr(run, name, value)
    insert_rows(runs)
    fields = [field.attname for field in Run._meta.concrete_fields]  # noqa: SLF001
    for run in runs:
        stored = Run.objects.get(pk=run.pk)
        assert [getattr(stored, name) for name in fields] == [getattr(run, name) for name in fields]


@pytest.mark.parametrize("values", [[1, True], [[0], [False]], [{}, []], [{"a": 1}, {"a": 1.0}]])
def test_json_values_that_only_python_calls_equal_stay_apart(
    make_job: JobMaker, values: list[Any]
) -> None:
    runs = runs_of(make_job(), 2)
    for run, value in zip(runs, values, strict=True):
        run.result = value
    update_rows(runs, ["result"])
    stored = [Run.objects.get(pk=run.pk).result for run in runs]
    assert [repr(value) for value in stored] == [repr(value) for value in values]


def test_values_that_all_rows_share_are_written_to_all(make_job: JobMaker) -> None:
    runs = runs_of(make_job(), 3)
    for run in runs:
        run.reason, run.params, run.started_at = "the same", {}, None
    update_rows(runs, ["reason", "params", "started_at"])
    assert list(Run.objects.values_list("reason", "params", "started_at")) == [
        ("the same", {}, None)
    ] * len(runs)


def test_only_the_named_fields_of_the_given_rows_change(make_job: JobMaker) -> None:
    changed, other = runs_of(make_job(), 2)
    changed.reason, changed.error = "told", "not told"
    update_rows([changed], ["reason"])
    rows = Run.objects.order_by("id").values_list("id", "reason", "error")
    assert list(rows) == [(changed.pk, "told", ""), (other.pk, "", "")]


def test_no_rows_are_no_statement(django_assert_num_queries: Any, db: None) -> None:
    del db
    with django_assert_num_queries(0):
        assert update_rows([], ["reason"]) == 0


def test_a_row_that_is_gone_is_not_counted(make_job: JobMaker) -> None:
    gone, here = runs_of(make_job(), 2)
    Run.objects.filter(id=gone.id).delete()
    assert update_rows([gone, here], ["reason"]) == 1


def test_a_refused_value_changes_no_row(make_job: JobMaker) -> None:
    runs = runs_of(make_job(), 2)
    runs[0].reason, runs[1].state = "written", "nowhere"
    with pytest.raises(IntegrityError), transaction.atomic():
        update_rows(runs, ["reason", "state"])
    assert not Run.objects.exclude(reason="").exists()


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite keeps a text of any length")
def test_a_text_that_is_too_long_is_refused_and_not_cut(make_job: JobMaker) -> None:
    """A role that lost its end would count against another role's limit."""
    first, second = runs_of(make_job(), 2)
    first.role, second.role = "FE", "r" * 65
    with pytest.raises(DataError), transaction.atomic():
        update_rows([first, second], ["role"])
    first.role = second.role = "r" * 65
    with pytest.raises(DataError), transaction.atomic():
        update_rows([first, second], ["role"])
