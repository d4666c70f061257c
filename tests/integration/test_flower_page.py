"""Flower behind its staff check, with a real HTTP server in Flower's place."""

import base64
import hashlib
import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar
from urllib.parse import unquote

import pytest
from django.contrib.auth.models import User
from django.test import Client
from tornado.template import filter_whitespace

from monitoring.views.flower import AUTOREFRESH
from tests.servers import free_port

pytestmark = pytest.mark.django_db


class Upstream(BaseHTTPRequestHandler):
    """Answers like Flower and remembers what it was asked."""

    asked: ClassVar[list[tuple[str, str, dict[str, str]]]] = []

    def do_GET(self) -> None:
        """Answer any path; `/flower/away` redirects to an absolute address."""
        self.asked.append((self.command, self.path, dict(self.headers)))
        if self.path == "/flower/away":
            self.send_response(302)
            self.send_header("Location", "http://inside:5555/flower/workers?a=1")
            self.end_headers()
            return
        body = b"<h1>Flower</h1>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=UTF-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Set-Cookie", "flower=1")
        self.send_header("Server", "inside")
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        """Answer with what was sent."""
        self.asked.append((self.command, self.path, dict(self.headers)))
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def upstream(settings: Any) -> Iterator[type[Upstream]]:
    """Start the server and configure it as Flower."""
    Upstream.asked.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Upstream) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        settings.OPS_FLOWER_URL = f"http://ops:pass@127.0.0.1:{server.server_port}"
        yield Upstream
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _static_root(settings: Any, tmp_path: Path) -> None:
    settings.STATIC_ROOT = tmp_path


def test_anonymous_visitors_go_to_the_login_page(client: Client, upstream: type[Upstream]) -> None:
    response = client.get("/flower/tasks")

    assert (response.status_code, upstream.asked) == (302, [])
    assert response.headers["Location"] == "/login/?next=/flower/tasks"


def test_whoever_is_not_staff_is_refused(client: Client, upstream: type[Upstream]) -> None:
    client.force_login(User.objects.create_user("visitor"))

    assert (client.get("/flower/tasks").status_code, upstream.asked) == (403, [])


def test_staff_read_flower_and_its_credentials_stay_inside(
    admin_client: Client, upstream: type[Upstream]
) -> None:
    response = admin_client.get("/flower/tasks?sort=name&n=1")

    (method, path, headers) = upstream.asked[0]
    assert (response.status_code, response.content) == (200, b"<h1>Flower</h1>")
    assert (method, path) == ("GET", "/flower/tasks?sort=name&n=1")
    assert headers["Authorization"].startswith("Basic ")
    assert "Cookie" not in headers
    assert "Set-Cookie" not in response.headers
    assert "Server" not in response.headers
    assert "flower" not in response.cookies


def test_credentials_that_a_url_cannot_hold_as_they_are_reach_flower_unchanged(
    admin_client: Client, upstream: type[Upstream], settings: Any
) -> None:
    address = settings.OPS_FLOWER_URL.partition("@")[2]
    settings.OPS_FLOWER_URL = f"http://olga%40ops:a%2Fb%3Ac%25@{address}"

    admin_client.get("/flower/tasks")

    sent = upstream.asked[0][2]["Authorization"].removeprefix("Basic ")
    assert base64.b64decode(sent) == b"olga@ops:a/b:c%"


def test_the_first_page_is_found_without_a_slash(
    admin_client: Client, upstream: type[Upstream]
) -> None:
    admin_client.get("/flower")

    assert upstream.asked[0][1] == "/flower/"


@pytest.mark.parametrize(
    "path",
    ["%00", "%3fx=1", "%23a", "task/a%20b", "task/%ec%9a%b4", "worker/celery@host", "a%2525b"],
)
def test_a_path_reaches_flower_as_a_path(
    admin_client: Client, upstream: type[Upstream], path: str
) -> None:
    response = admin_client.get(f"/flower/{path}")

    asked = upstream.asked[0][1]
    assert response.status_code == 200
    assert unquote(asked) == unquote(f"/flower/{path}")
    assert not set("?#") & set(asked)


@pytest.mark.parametrize("path", ["..", "../", "a/../../secret", "%2e%2e/secret"])
def test_a_path_does_not_leave_flower(
    admin_client: Client, upstream: type[Upstream], path: str
) -> None:
    response = admin_client.get(f"/flower/{path}")

    assert (response.status_code, upstream.asked) == (404, [])
    assert "no such page" in response.content.decode()


def test_an_address_too_long_to_be_asked_is_said_in_words(
    admin_client: Client, upstream: type[Upstream]
) -> None:
    response = admin_client.get(f"/flower/tasks?{'x' * 70_000}")

    assert (response.status_code, upstream.asked) == (404, [])
    assert "no such page" in response.content.decode()


def test_a_header_that_http_cannot_carry_stays_here(
    admin_client: Client, upstream: type[Upstream]
) -> None:
    response = admin_client.get(
        "/flower/tasks", headers={"Accept": "\u00ff\u00fe", "Accept-Language": "ko"}
    )

    assert response.status_code == 200
    assert upstream.asked[0][2]["Accept-Language"] == "ko"
    assert upstream.asked[0][2]["Accept"] == "*/*"


def test_a_redirect_keeps_the_visitor_on_this_site(
    admin_client: Client, upstream: type[Upstream]
) -> None:
    del upstream

    response = admin_client.get("/flower/away")

    assert response.headers["Location"] == "/flower/workers?a=1"


def test_only_flower_pages_have_a_looser_policy_and_that_names_no_other_site(
    admin_client: Client, upstream: type[Upstream]
) -> None:
    del upstream

    loose = admin_client.get("/flower/").headers["Content-Security-Policy"]
    strict = admin_client.get("/login/").headers["Content-Security-Policy"]

    assert "style-src 'self' 'unsafe-inline'" in loose
    assert "http" not in loose
    assert "script-src 'self' 'sha256-" in loose
    assert "unsafe" not in strict


@pytest.mark.parametrize("method", ["post", "put", "delete", "patch"])
def test_flower_is_for_reading(admin_client: Client, upstream: type[Upstream], method: str) -> None:
    response = getattr(admin_client, method)("/flower/api/worker/shutdown/w1")

    assert (response.status_code, upstream.asked) == (405, [])
    assert "use the admin" in response.content.decode()


def test_the_rows_of_the_tasks_page_are_read_by_post(upstream: type[Upstream]) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(User.objects.create_superuser("root"))

    response = strict.post("/flower/tasks/datatable", {"draw": "1"})

    assert response.status_code == 200
    assert b'name="draw"' in response.content
    assert upstream.asked[0][2]["Content-Type"].startswith("multipart/form-data")


def test_a_flower_that_does_not_answer_is_said_in_words(
    admin_client: Client, settings: Any
) -> None:
    settings.OPS_FLOWER_URL = f"http://ops:hunter2secret@127.0.0.1:{free_port()}"

    response = admin_client.get("/flower/")

    assert response.status_code == 503
    assert "not answering" in response.content.decode()
    assert "hunter2secret" not in response.content.decode()


def test_a_flower_that_is_not_configured_is_said_in_words(
    admin_client: Client, settings: Any
) -> None:
    settings.OPS_FLOWER_URL = ""

    response = admin_client.get("/flower/")

    assert response.status_code == 503
    assert "OPS_FLOWER_URL" in response.content.decode()


def test_the_allowed_inline_script_is_that_of_the_installed_flower() -> None:
    package = find_spec("flower")
    assert package
    assert package.origin
    templates = Path(package.origin).parent / "templates"
    sources = [path.read_text() for path in templates.glob("*.html")]
    inline = [
        script
        for source in sources
        for script in re.findall(r"<script[^>]*>([^<]+)</script>", source)
    ]
    assert len(inline) == 1
    served = filter_whitespace("single", inline[0].replace("{{ autorefresh }}", "1"))
    digest = base64.b64encode(hashlib.sha256(served.encode()).digest()).decode()

    assert f"'sha256-{digest}'" == AUTOREFRESH
