"""What the `scheduling` app assumes where a project names no setting is what the platform says."""

import re

import pytest
from pytest_django import Settings

from opsproject import settings as platform
from opsproject.env import CHECKOUT, Environment
from scheduling.conf import SchedulingSettings, Setting, conf

SETTINGS = {
    name: value.default for name, value in vars(SchedulingSettings).items()
    if isinstance(value, Setting)
}  # fmt: skip


@pytest.mark.parametrize("name", SETTINGS)
def test_a_default_is_that_of_the_platform(name: str) -> None:
    theirs = Environment.model_fields[name].default
    given = SETTINGS[name]
    if theirs is None:  # `up` has one of its own, and nobody else
        assert not given
    else:
        assert given == (tuple(theirs) if isinstance(theirs, list) else theirs)


@pytest.mark.parametrize("name", SETTINGS)
def test_what_the_platform_is_told_is_what_the_app_reads(name: str) -> None:
    assert hasattr(platform, name)


def test_a_project_that_says_otherwise_is_heard(settings: Settings) -> None:
    settings.OPS_LEDGER_DAYS = 7
    assert conf.OPS_LEDGER_DAYS == 7
    del settings.OPS_LEDGER_DAYS
    assert conf.OPS_LEDGER_DAYS == 90


def test_the_guide_names_every_setting_of_the_app() -> None:
    guide = (CHECKOUT / "docs" / "adoption.md").read_text(encoding="utf-8")
    named = guide.partition("## Settings")[2].partition("With another scope")[0]
    assert re.findall(r"`([A-Z_]+)`", named) == list(SETTINGS)
