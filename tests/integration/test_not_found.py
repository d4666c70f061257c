"""What no route takes: JSON in the API's one shape for its paths, pages for the others."""

import pytest
from django.test import Client


@pytest.mark.parametrize("path", ["/jobs/", "/jobs/a/b/c", "/api", "/api/", "/api/no-such-thing"])
@pytest.mark.parametrize("debug", [False, True])
def test_an_address_that_the_api_does_not_have_is_said_in_its_shape(
    client: Client, settings: object, path: str, *, debug: bool
) -> None:
    settings.DEBUG = debug  # type: ignore[attr-defined] # pytest-django's fixture has no type

    answer = client.get(path)

    assert answer.status_code == 404
    assert answer.json().keys() == {"code", "message"}
    assert answer.json()["code"] == "not_found"
    assert "/api/openapi.json" in answer.json()["message"]


@pytest.mark.parametrize(("method", "path"), [("PATCH", "/jobs"), ("DELETE", "/jobs/a/run-now")])
def test_a_method_that_an_address_does_not_take_names_those_it_takes(
    client: Client, method: str, path: str
) -> None:
    answer = client.generic(method, path)

    assert answer.status_code == 405
    assert answer.json()["code"] == "method_not_allowed"
    assert answer.headers["Allow"]
    for allowed in answer.headers["Allow"].split(", "):
        assert allowed in answer.json()["message"]


@pytest.mark.parametrize("path", ["/no-such-page", "/jobsite", "/apiary", "/runs/jobs/"])
def test_an_address_that_the_site_does_not_have_is_a_page(client: Client, path: str) -> None:
    answer = client.get(path)

    assert answer.status_code == 404
    assert answer.headers["Content-Type"].startswith("text/html")


def test_an_answer_of_the_api_itself_is_left_as_it_is(client: Client) -> None:
    answer = client.get("/jobs/nobody")

    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
