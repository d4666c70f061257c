"""API tokens are shown once and kept as a digest."""

import re
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from scheduling.clock import database_now
from scheduling.models import ApiToken, AuditEntry
from tests.conftest import JobMaker
from tests.offices import make_office


def created(*arguments: str) -> str:
    out = StringIO()
    call_command("create_token", *arguments, stdout=out)
    return out.getvalue()


def test_the_command_prints_just_the_token(admin_user: Any) -> None:
    text = created("grafana", "--access", "read")
    token = ApiToken.objects.get()
    assert text == text.strip() + "\n"
    assert text.startswith(token.token_key)
    assert (token.name, token.access, token.user) == ("grafana", "read", admin_user)
    assert text.strip() not in str(vars(token))


def test_a_new_token_is_in_the_trail_without_its_text(admin_user: Any) -> None:
    del admin_user
    text = created("ci", "--access", "operate", "--scope", "mock").strip()
    entry = AuditEntry.objects.get()
    assert entry.after == {"access": "operate", "scope": "mock"}
    assert text not in str(vars(entry))


def test_without_a_superuser_the_remedy_is_named(db: None) -> None:
    del db
    with pytest.raises(CommandError, match="createsuperuser"):
        created("x")


def test_an_unknown_access_is_refused(admin_user: Any) -> None:
    del admin_user
    with pytest.raises(CommandError, match="invalid choice"):
        created("x", "--access", "root")


def test_a_token_of_an_office_ends_and_says_where_it_holds(admin_user: Any) -> None:
    del admin_user
    make_office()
    created("hq", "--access", "operate", "--scope", "real", "--office", "hq", "--days", "30")
    token = ApiToken.objects.get()
    assert str(token.office) == "real:hq"
    assert token.expiry is not None
    assert timedelta(days=29) < token.expiry - database_now() <= timedelta(days=30)
    told = AuditEntry.objects.get(action="create_token").after
    assert told == {"access": "operate", "scope": "real", "office_id": "hq", "days": 30}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--office", "hq"), "scope: say in which the office 'hq' is"),
        (("--office", "hq", "--scope", "mock"), "no office 'hq' in scope 'mock'"),
        (("--days", "0"), "days: 0 is not 1 to 36,500"),
    ],
)
def test_a_token_that_cannot_be_names_the_field(
    admin_user: Any, arguments: tuple[str, ...], says: str
) -> None:
    del admin_user
    make_office()
    with pytest.raises(CommandError, match=re.escape(says)):
        created("x", *arguments)
    assert not ApiToken.objects.exists()


def test_a_token_of_an_office_opens_that_office_only(caller: Any, make_job: JobMaker) -> None:
    make_job()
    make_office()
    make_office("other")
    client = caller("admin", scope="real", office_id="hq")
    assert client.get("/api/offices/hq").status_code == 200
    assert client.get("/api/offices/hq/jobs").status_code == 200
    refused = [
        client.get("/api/offices/other"),
        client.get("/api/offices/other/scheduler/stats"),
        client.get("/api/offices"),
        client.post("/api/offices", {"office_id": "mine"}, content_type="application/json"),
        client.get("/jobs"),
        client.post("/jobs/job/run-now"),
    ]
    assert {answer.status_code for answer in refused} == {403}
    assert refused[0].json()["message"] == "this token is for the office 'hq' only"


def test_when_a_token_was_last_used_is_kept_to_the_minute(caller: Any) -> None:
    client = caller("read")
    assert ApiToken.objects.get().last_used_at is None
    client.get("/jobs")
    first = ApiToken.objects.get().last_used_at
    client.get("/jobs")
    assert first is not None
    assert ApiToken.objects.get().last_used_at == first
    ApiToken.objects.update(last_used_at=first - timedelta(minutes=1))
    client.get("/jobs")
    again = ApiToken.objects.get().last_used_at
    assert again is not None
    assert again >= first


def test_an_office_takes_its_tokens_with_it(caller: Any) -> None:
    office = make_office()
    client = caller("read", scope="real", office_id="hq")
    office.delete()
    assert client.get("/api/offices/hq").status_code == 401


def test_revoking_a_token_in_the_admin_is_in_the_trail(admin_client: Client) -> None:
    made = [created(name, "--access", "read") for name in ("a", "b", "c")]
    one, *others = ApiToken.objects.order_by("name")
    page = "/admin/scheduling/apitoken/"
    admin_client.post(f"{page}{one.pk}/delete/", {"post": "yes"})
    chosen = [token.pk for token in others]
    admin_client.post(
        page, {"action": "delete_selected", "_selected_action": chosen, "post": "yes"}
    )
    assert not ApiToken.objects.exists()
    trail = AuditEntry.objects.filter(action="revoke_token").order_by("target")
    assert [entry.target for entry in trail] == ["a", "b", "c"]
    assert {entry.actor for entry in trail} == {"admin"}
    assert trail[0].before == {"access": "read", "token_key": made[0][:15]}
