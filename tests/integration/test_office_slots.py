"""No office, and no role in it, ever has more runs than its limit (SPEC B3)."""

from datetime import timedelta

import pytest
from django.db import IntegrityError

from scheduling.actions.offices.create_office import NewOffice, create_office
from scheduling.engine import candidates
from scheduling.errors import DuplicateOffice, InvalidOffice
from scheduling.models import AuditEntry, Office, RoleLimit, Run
from scheduling.models.office import DEFAULT_OFFICE, OfficeState
from scheduling.states import Outcome
from tests.conftest import JobMaker
from tests.integration.test_claiming import opened
from tests.offices import OPERATOR, end, make_office, names, submit, turn, work

pytestmark = pytest.mark.django_db


def test_an_office_begins_with_the_roles_and_limits_of_the_document() -> None:
    office = make_office()
    assert office.max_concurrent == 3
    roles = {role.role: role for role in office.roles.all()}
    assert {name for name, role in roles.items() if role.max_concurrent == 1} == {
        *("FE", "BE", "QA", "DevOps")
    }
    minutes = {"PO": 15, "Architect": 20, "FE": 30, "BE": 30, "QA": 45, "DevOps": 20}
    assert {name: role.timeout for name, role in roles.items()} == {
        name: timedelta(minutes=number) for name, number in minutes.items()
    }
    assert AuditEntry.objects.filter(action="create_office").count() == 1


def test_a_run_takes_timeout_and_retries_of_its_role_else_of_its_office() -> None:
    office = make_office(default_timeout=timedelta(minutes=7), max_retries=4)
    RoleLimit.objects.filter(office=office, role="FE").update(
        max_retries=1, retry_base=timedelta(seconds=5), retry_backoff="linear"
    )
    runs = submit(
        office,
        *(work("fe", role="FE"), work("other", role="Writer"), work("own", role="QA")),
        work("says", role="FE", timeout=timedelta(minutes=1), max_retries=0),
    )
    policies = {
        name: (run.timeout, run.max_retries, run.retry_base, run.retry_backoff)
        for name, run in runs.items()
    }
    minute, second = timedelta(minutes=1), timedelta(seconds=1)
    assert policies == {
        "fe": (30 * minute, 1, 5 * second, "linear"),
        "other": (7 * minute, 4, 60 * second, "exponential"),
        "own": (45 * minute, 4, 60 * second, "exponential"),
        "says": (minute, 0, 5 * second, "linear"),
    }
    assert runs["fe"].non_retryable_codes == [
        *("GIT_CONFLICT", "PERMISSION_DENIED", "DEPENDENCY_FAILED")
    ]


def test_an_id_is_taken_once_in_a_scope() -> None:
    make_office()
    make_office(scope="mock")
    with pytest.raises(DuplicateOffice):
        make_office()


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"office_id": "a b"}, "office_id"),
        ({"office_id": ""}, "office_id"),
        ({"office_id": "a", "max_concurrent": 0}, "max_concurrent"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(values: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidOffice) as refused:
        create_office(NewOffice(scope="real", **values), OPERATOR)  # type: ignore[arg-type] # on purpose
    assert refused.value.field == field
    assert not Office.objects.exists()


def test_as_many_run_as_the_office_has_slots_and_the_next_as_one_ends() -> None:
    office = make_office()
    runs = submit(office, *(work(f"w{number}") for number in range(6)))
    assert names(turn()) == ["w0", "w1", "w2"]
    end(runs["w1"])
    assert names(turn()) == ["w3"]
    assert Run.objects.holding_slot().filter(office=office).count() == 3


def test_a_role_at_its_limit_lets_the_other_roles_by() -> None:
    office = make_office()
    runs = submit(
        office,
        *(work("fe1", role="FE"), work("fe2", role="FE"), work("be", role="BE"), work("any")),
    )
    assert names(turn()) == ["fe1", "be", "any"]
    end(runs["be"])
    assert turn() == []
    end(runs["fe1"], Outcome.FAILED, code="BROKEN")
    assert names(turn()) == ["fe2"]


def test_limits_are_changed_live() -> None:
    office = make_office(max_concurrent=1)
    submit(office, *(work(f"w{number}", role="FE") for number in range(4)))
    assert len(turn()) == 1
    office.max_concurrent = 3
    office.save()
    assert turn() == []
    RoleLimit.objects.filter(office=office, role="FE").update(max_concurrent=2)
    assert len(turn()) == 1
    RoleLimit.objects.filter(office=office, role="FE").update(max_concurrent=None)
    assert len(turn()) == 1
    office.max_concurrent = 1
    office.save()
    assert turn() == []


def test_lower_priority_numbers_go_first_then_age() -> None:
    office = make_office(max_concurrent=2)
    runs = submit(office, work("late"), work("urgent", priority=-5), work("later", priority=5))
    assert names(turn()) == ["urgent", "late"]
    Run.objects.filter(pk=runs["later"].pk).update(priority=-9)
    [between] = submit(office, work("between")).values()
    end(runs["late"])
    assert names(turn()) == ["later"]
    end(runs["urgent"])
    assert turn() == [between]


@pytest.mark.parametrize("state", [OfficeState.PAUSED, OfficeState.ARCHIVED])
def test_an_office_that_is_not_active_starts_nothing_and_finishes_what_runs(
    state: OfficeState,
) -> None:
    office = make_office(max_concurrent=1)
    runs = submit(office, work("a"), work("b"))
    turn()
    Office.objects.update(state=state)
    end(runs["a"])
    assert turn() == []
    Office.objects.update(state=OfficeState.ACTIVE)
    assert names(turn()) == ["b"]


def test_an_office_at_its_limit_holds_up_nobody(
    make_job: JobMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "PAGE", 5)
    submit(make_office("hog"), *(work(f"w{number}") for number in range(20)))
    submit(make_office("stopped", state=OfficeState.PAUSED), *(work(f"w{n}") for n in range(20)))
    submit(make_office("roles"), *(work(f"w{n}", role="FE") for n in range(20)))
    [behind] = submit(make_office("small"), work("behind")).values()
    [of_a_job] = opened(make_job(max_parallel=3))
    claimed = turn()
    assert behind in claimed
    assert of_a_job in claimed
    assert len(claimed) == 3 + 1 + 1 + 1


def test_jobs_have_no_office_limit_until_the_default_office_gets_one(make_job: JobMaker) -> None:
    for number in range(5):
        opened(make_job(f"job{number}"))
    assert len(turn()) == 5
    make_office(DEFAULT_OFFICE, max_concurrent=6)
    make_office(DEFAULT_OFFICE, max_concurrent=1, scope="mock")
    for number in range(5, 10):
        opened(make_job(f"job{number}"))
    assert len(turn()) == 1
    assert turn() == []


def test_work_of_the_default_office_is_its_own() -> None:
    runs = submit(make_office(DEFAULT_OFFICE, max_concurrent=1), work("a"), work("b", "a"))
    assert names(turn()) == ["a"]
    end(runs["a"])
    assert names(turn()) == ["b"]


def test_the_table_itself_refuses_a_limit_of_none() -> None:
    with pytest.raises(IntegrityError):
        Office.objects.create(scope="real", office_id="x", max_concurrent=0)
