"""The status page in Chromium, against a real web process on a database of its own."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.servers import free_port, require, wait_for

CHECKOUT = Path(__file__).resolve().parents[2]
CHROMIUM = "/usr/bin/chromium"
SWITCHES = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
PASSWORD = "a long pass phrase"  # noqa: S105 of a database that lives as long as this test

pytestmark = pytest.mark.browser


@dataclass(frozen=True)
class Site:
    """A running web process and a way into its database."""

    url: str
    environment: dict[str, str]

    def seed(self, what: str) -> str:
        """Run `board_seed.py` on the site's database and return what it wrote."""
        return run([sys.executable, "tests/e2e/board_seed.py", what], self.environment)


@dataclass
class Watched:
    """A page, and everything that it complained about or fetched from elsewhere."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)


def run(command: list[str], environment: dict[str, str]) -> str:
    """Run a program of the checkout and return its output; show its errors when it fails."""
    done = subprocess.run(
        command, cwd=CHECKOUT, env=environment, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Start a web process on a fresh, filled database."""
    data = tmp_path_factory.mktemp("site")
    port = free_port()
    environment = {
        **{name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ},
        "OPS_ENV_FILE": "",
        "PYTHONPATH": str(CHECKOUT),
        "OPS_DATA_DIR": str(data),
        "SECRET_KEY": "of a web process that lives as long as this test",
        "CELERY_BROKER_URL": "memory://",
    }
    (data / "static").mkdir()
    run([sys.executable, "manage.py", "migrate", "--verbosity=0"], environment)
    with (data / "web.log").open("wb") as log:
        web = subprocess.Popen(
            [
                *(sys.executable, "-m", "uvicorn", "opsproject.asgi:application"),
                *("--host", "127.0.0.1", "--port", str(port)),
            ],
            cwd=CHECKOUT,
            env=environment,
            stdout=log,
            stderr=log,
        )
    here = Site(f"http://127.0.0.1:{port}", environment)
    try:
        here.seed("fill")
        wait_for(
            lambda: b"running on" in (data / "web.log").read_bytes(),
            seconds=30,
            what="the web process answers",
        )
        yield here
    finally:
        web.terminate()
        web.wait(timeout=30)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Start Debian's Chromium."""
    require("Debian's chromium", available=Path(CHROMIUM).exists())
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        yield browser
        browser.close()


def signed_in(context: BrowserContext, site: Site) -> Watched:
    """Sign in as the operator and return the status page, watched from the first request on."""
    watched = Watched(context.new_page())
    page = watched.page
    page.on("console", lambda said: watched.complaints.append(said.text))
    page.on("pageerror", lambda error: watched.complaints.append(str(error)))
    page.on("requestfailed", lambda request: watched.complaints.append(request.url))
    page.on(
        "request",
        lambda request: (
            watched.foreign.append(request.url)
            if not request.url.startswith((site.url, "data:"))
            else None
        ),
    )
    page.goto(site.url)
    page.get_by_label("Name").fill("operator")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("#live")).to_be_visible()
    return watched


@pytest.fixture
def desk(chromium: Browser, site: Site) -> Iterator[Watched]:
    """Give the status page on a desk's screen, by day."""
    with chromium.new_context(viewport={"width": 1280, "height": 900}) as context:
        yield signed_in(context, site)


def screenshot(page: Page, name: str) -> None:
    """Keep a picture of the whole page for people to judge."""
    (CHECKOUT / "artifacts").mkdir(exist_ok=True)
    page.screenshot(path=CHECKOUT / "artifacts" / name, full_page=True)


def test_the_page_is_quiet_and_fetches_nothing_from_elsewhere(desk: Watched) -> None:
    desk.page.wait_for_timeout(2_500)  # at least one poll
    screenshot(desk.page, "status.png")
    desk.page.locator(".runs a").first.click()
    expect(desk.page.get_by_role("heading", name="Attempts")).to_be_visible()
    desk.page.get_by_role("link", name="Health").click()
    expect(desk.page.get_by_text("google_sheets")).to_be_visible()

    assert desk.complaints == []
    assert desk.foreign == []


def test_what_the_policy_forbids_does_not_happen(desk: Watched) -> None:
    """Make sure that a violation would be seen: without this, the test above could not fail."""
    desk.page.evaluate(
        "document.body.append(Object.assign(document.createElement('img'),"
        "{src: 'http://127.0.0.1:9/x.png'}))"
    )
    desk.page.wait_for_timeout(200)

    assert any("Content Security Policy" in said for said in desk.complaints)


def test_the_next_due_time_counts_down(desk: Watched) -> None:
    due = desk.page.locator("tr", has_text="backup_maintenance").locator("[data-due]").first
    expect(due).to_have_text(re.compile(r"^in \d+"))
    shown = str(due.text_content())

    expect(due).not_to_have_text(shown, timeout=3_000)
    expect(due).to_have_text(re.compile(r"^in \d+"))


def test_a_run_appears_by_itself(desk: Watched, site: Site) -> None:
    run_id = site.seed("run")

    expect(desk.page.locator(f'a[href="/runs/{run_id}"]')).to_be_visible(timeout=6_000)
    row = desk.page.locator("tr", has=desk.page.locator(f'a[href="/runs/{run_id}"]'))
    expect(row.get_by_text("running")).to_be_visible()
    expect(row.locator("[data-running]")).to_have_text(re.compile(r"\d+ s"))
    assert desk.complaints == []


def test_an_operator_pauses_and_resumes_with_the_keyboard_focus_kept(desk: Watched) -> None:
    page = desk.page
    row = page.locator(".jobs tr", has_text="pipeline")

    row.get_by_role("button", name="Pause pipeline").press("Enter")
    expect(row.get_by_text("paused by operator")).to_be_visible()
    expect(page.get_by_role("status")).to_contain_text("pipeline is paused")
    expect(row.get_by_role("button", name="Resume pipeline")).to_be_focused()
    row.get_by_role("button", name="Resume pipeline").press("Enter")

    expect(row.get_by_text("enabled")).to_be_visible()
    assert desk.complaints == []


def test_a_phone_at_night_needs_no_sideways_scrolling(chromium: Browser, site: Site) -> None:
    with chromium.new_context(
        viewport={"width": 375, "height": 800}, color_scheme="dark"
    ) as context:
        watched = signed_in(context, site)
        screenshot(watched.page, "status-375-dark.png")
        width = watched.page.evaluate("document.documentElement.scrollWidth")
        background = watched.page.evaluate(
            "getComputedStyle(document.documentElement).backgroundColor"
        )

    assert width == 375
    assert background == "rgb(17, 21, 27)"
    assert watched.complaints == []
