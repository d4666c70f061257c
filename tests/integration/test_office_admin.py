"""Offices in the admin: made and edited through the actions that every door calls."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from scheduling.models import AuditEntry, Office, RoleLimit
from tests.offices import make_office

FORM = {
    "scope": "real", "office_id": "hq", "name": "Head", "state": "active", "max_concurrent": "4",
    "default_timeout": "00:20:00", "max_retries": "2", "retry_base": "00:01:00",
    "retry_backoff": "exponential",
}  # fmt: skip


def roles_form(office: Office, **changes: dict[str, str]) -> dict[str, str]:
    """Return the inline's form as the page shows it, with changes by role."""
    rows = list(office.roles.order_by("id"))
    known = {row.role for row in rows}
    form = {"roles-TOTAL_FORMS": str(len(rows) + len(changes.keys() - known))}
    form["roles-INITIAL_FORMS"] = str(len(rows))
    for number, row in enumerate(rows):
        shown: dict[str, Any] = {
            "id": row.pk, "office": office.pk, "role": row.role,
            "max_concurrent": row.max_concurrent or "", "timeout": row.timeout,
            "max_retries": "", "retry_base": "", "retry_backoff": "",
        }  # fmt: skip
        shown |= changes.get(row.role, {})
        form |= {f"roles-{number}-{name}": str(value) for name, value in shown.items()}
    for number, role in enumerate(sorted(changes.keys() - known), start=len(rows)):
        new = {"office": office.pk, "role": role, **changes[role]}
        form |= {f"roles-{number}-{name}": str(value) for name, value in new.items()}
    return form


def test_an_office_is_made_with_the_roles_of_the_document(admin_client: Client) -> None:
    answer = admin_client.post(reverse("admin:scheduling_office_add"), FORM)
    assert answer.status_code == 302, answer.content.decode()
    office = Office.objects.get()
    assert (office.max_concurrent, office.name) == (4, "Head")
    assert office.roles.count() == 6
    assert list(AuditEntry.objects.values_list("action", "door").order_by("id")) == [
        ("create_office", "admin"), ("change_office", "admin"),
    ]  # fmt: skip


def test_an_id_that_is_taken_is_said_on_the_page(admin_client: Client) -> None:
    make_office()
    answer = admin_client.post(reverse("admin:scheduling_office_add"), FORM, follow=True)
    assert Office.objects.count() == 1
    assert "already exists" in answer.content.decode()


def test_limits_of_the_office_and_of_its_roles_are_edited_and_audited(
    admin_client: Client,
) -> None:
    office = make_office()
    AuditEntry.objects.all().delete()
    roles = roles_form(office, FE={"max_concurrent": "2"}, Bot={"max_concurrent": "1"})
    page = reverse("admin:scheduling_office_change", args=[office.pk])
    answer = admin_client.post(page, {**FORM, **roles, "default_timeout": "00:30:00"})
    assert answer.status_code == 302, answer.content.decode()
    office.refresh_from_db()
    assert office.max_concurrent == 4
    limits = dict(office.roles.values_list("role", "max_concurrent"))
    assert (limits["FE"], limits["Bot"], limits["QA"]) == (2, 1, 1)
    changes: dict[str, Any] = {}
    for entry in AuditEntry.objects.all():
        changes |= entry.after or {}
    assert changes == {
        "name": "Head", "max_concurrent": 4, "FE.max_concurrent": 2, "Bot.max_concurrent": 1,
    }  # fmt: skip


def test_a_role_that_is_removed_has_no_limits_of_its_own(admin_client: Client) -> None:
    office = make_office()
    page = reverse("admin:scheduling_office_change", args=[office.pk])
    roles = roles_form(office, FE={"DELETE": "on"})
    admin_client.post(page, {**FORM, **roles})
    role = RoleLimit.objects.get(office=office, role="FE")
    assert (role.max_concurrent, role.timeout) == (None, None)


def test_an_office_is_not_deleted(admin_client: Client) -> None:
    office = make_office()
    page = reverse("admin:scheduling_office_delete", args=[office.pk])
    assert admin_client.post(page, {"post": "yes"}).status_code == 403
    assert Office.objects.exists()


@pytest.mark.parametrize(("field", "value"), [("max_concurrent", "0"), ("default_timeout", "0")])
def test_what_does_not_fit_is_shown_in_the_form(
    admin_client: Client, field: str, value: str
) -> None:
    office = make_office()
    page = reverse("admin:scheduling_office_change", args=[office.pk])
    answer = admin_client.post(page, {**FORM, **roles_form(office), field: value})
    assert answer.status_code == 200
    assert Office.objects.get().max_concurrent == 3
