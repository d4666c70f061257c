"""Whatever is sent to the API, the answer is one of its own document: never a 5xx.

Schemathesis makes requests from `/api/openapi.json`, valid ones and others.
"""

from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from hypothesis import HealthCheck, settings
from schemathesis import GenerationMode
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import positive_data_acceptance

from opsproject.api import api
from scheduling.actions.audit import Operator
from scheduling.actions.create_token import NewToken, create_token
from scheduling.models import AuditEntry, Job, Office, Run, Webhook
from scheduling.models.token import Access
from tests.conftest import JobMaker
from tests.offices import make_office, submit, work

OPERATOR = Operator(actor="fuzzer", door="test")
FEW = settings(
    max_examples=10, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)


@pytest.fixture
def kept_connection() -> Iterator[None]:
    """Let the end of a request not close the test's transaction, as Django's own client does."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.fixture
def known(make_job: JobMaker) -> dict[str, str]:
    """Have a job and an office with work; return their ids, by their names in paths."""
    make_job("job")
    runs = submit(make_office(), work("a"), work("b", "a"))
    return {"job_id": "job", "office_id": "hq", "run_id": str(runs["a"].pk)}


@pytest.fixture
def tokens(admin_user: Any) -> dict[str, str]:
    """Return a token of each access."""
    return {
        access: create_token(NewToken(name=access, access=access), OPERATOR, user=admin_user)
        for access in Access.values
    }


def operations() -> list[Any]:
    schema = schemathesis.openapi.from_dict(api.get_openapi_schema())
    schema.app = get_wsgi_application()
    found = list(schema.get_all_operations())
    refused = [one for one in found if not isinstance(one, Ok)]
    assert not refused, f"no valid operations of the document: {refused}"
    return [one.ok() for one in found if isinstance(one, Ok)]


# What no schema can say: that an id is there twice, a dependency nowhere, a tag old, a day past, a
# text with a NUL in it, a scope another's, an address none, two fields against each other.
BEYOND_A_SCHEMA = {
    "POST /jobs",
    "PUT /jobs/{job_id}",
    "DELETE /jobs/{job_id}",
    "POST /jobs/{job_id}/run-now",
    "POST /jobs/{job_id}/last-run",
    "POST /api/webhooks",
    "POST /jobs/{job_id}/pause",
    "POST /api/offices/{office_id}/jobs",
    "PATCH /api/offices/{office_id}/scheduler/config",
}
every_operation = pytest.mark.parametrize("operation", operations(), ids=lambda one: one.label)
pytestmark = pytest.mark.usefixtures("kept_connection")


@every_operation
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_every_answer_is_one_of_the_document(
    operation: Any, mode: GenerationMode, known: dict[str, str], tokens: dict[str, str]
) -> None:
    @FEW
    @hypothesis.given(case=operation.as_strategy(mode, path_parameters=_in_path(operation, known)))
    def send(case: Any) -> None:
        _send(case, tokens[Access.ADMIN])

    send()


@every_operation
def test_what_is_not_there_is_said_to_be_so(operation: Any, tokens: dict[str, str]) -> None:
    @FEW
    @hypothesis.given(case=operation.as_strategy())
    def send(case: Any) -> None:
        _send(case, tokens[Access.ADMIN])

    send()


@every_operation
def test_a_reading_token_changes_nothing(
    operation: Any, known: dict[str, str], tokens: dict[str, str]
) -> None:
    @FEW
    @hypothesis.given(case=operation.as_strategy(path_parameters=_in_path(operation, known)))
    def send(case: Any) -> None:
        _send(case, tokens[Access.READ])

    before = _everything()
    send()
    assert _everything() == before


def _in_path(operation: Any, known: dict[str, str]) -> dict[str, str] | None:
    found = {name: value for name, value in known.items() if f"{{{name}}}" in operation.path}
    return found or None


def _send(case: Any, token: str) -> None:
    excluded = [positive_data_acceptance] if case.operation.label in BEYOND_A_SCHEMA else []
    case.call_and_validate(headers={"Authorization": f"Bearer {token}"}, excluded_checks=excluded)


def _everything() -> list[Any]:
    kept = AuditEntry.objects.exclude(action="create_token").count()
    tables = (Run, Office, Job, Webhook)
    return [kept, *(row for table in tables for row in table.objects.order_by("pk").values())]
