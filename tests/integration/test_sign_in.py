"""Who guesses passwords is shut out, from where he guesses and for a while."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.core.management import call_command
from django.test import Client

from scheduling.clock import database_now

GUESSES = 5


def signs_in(client: Client, password: str, *, at: str = "10.0.0.1") -> int:
    form = {"username": "admin", "password": password}
    return client.post("/login/", form, REMOTE_ADDR=at).status_code


@pytest.fixture
def guesser(admin_user: Any) -> Client:
    del admin_user
    client = Client()
    assert [signs_in(client, "guess") for _ in range(GUESSES)] == [200] * (GUESSES - 1) + [429]
    return client


def test_after_five_guesses_not_even_the_right_password_opens(guesser: Client) -> None:
    assert signs_in(guesser, "password") == 429
    page = guesser.post("/login/", {"username": "admin", "password": "x"}, REMOTE_ADDR="10.0.0.1")
    assert "axes_reset_username" in page.content.decode()
    assert guesser.get("/login/").status_code == 200


def test_whose_name_it_is_signs_in_from_elsewhere(guesser: Client) -> None:
    assert signs_in(guesser, "password", at="10.0.0.2") == 302


def test_it_is_over_after_a_quarter_of_an_hour(guesser: Client) -> None:
    with time_machine.travel(database_now() + timedelta(minutes=16)):
        assert signs_in(guesser, "password") == 302


def test_an_operator_ends_it_at_once(guesser: Client) -> None:
    call_command("axes_reset_username", "admin")
    assert signs_in(guesser, "password") == 302
