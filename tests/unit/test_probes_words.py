"""What probes are called and how they speak."""

import pytest
from health_check.exceptions import HealthCheckException

from monitoring import probes
from monitoring.percentile import average, nearest_rank
from monitoring.probes.base import Probe, Unavailable
from monitoring.probes.google_sheets import GoogleSheets
from monitoring.probes.measure import PROBES
from monitoring.templatetags.ops_words import duration, percent


class Talkative(Probe):
    """A probe that would tell a secret."""

    name = "talkative"

    def look(self) -> str:
        """Say one."""
        return "reached redis://ops:hunter2secret@broker:6379/0"


class Broken(Talkative):
    """A probe that would tell a secret when it fails."""

    def look(self) -> str:
        """Say one."""
        raise Unavailable("no answer from redis://ops:hunter2secret@broker:6379/0")


def test_the_four_names_of_the_seed_are_importable_and_each_has_its_probe() -> None:
    assert [probe.name for probe in PROBES] == [
        probes.CHECK_GOOGLE_SHEETS,
        probes.CHECK_REPOSITORY_HEALTH,
        probes.CHECK_BROKER_HEARTBEAT,
        probes.CHECK_ETEDA_LOOP_LATENCY,
    ]


def test_an_unconfigured_google_sheet_is_said_in_words_and_is_no_failure() -> None:
    assert "not configured" in GoogleSheets().look()


def test_a_finding_is_redacted() -> None:
    probe = Talkative()
    probe.run()
    assert "hunter2secret" not in probe.pretty_status()
    assert "reached" in probe.pretty_status()


def test_a_failure_is_redacted() -> None:
    with pytest.raises(HealthCheckException) as caught:
        Broken().run()
    assert "hunter2secret" not in str(caught.value)
    assert "no answer" in str(caught.value)


@pytest.mark.parametrize(
    ("values", "expected"),
    [([], None), ([3.0], 3.0), (list(range(1, 21)), 19), (list(range(1, 101)), 95)],
)
def test_a_percentile_is_a_value_that_was_measured(
    values: list[float], expected: float | None
) -> None:
    assert nearest_rank(values, 0.95) == expected


def test_no_values_have_no_average() -> None:
    assert average([]) is None
    assert average([1.0, 2.0]) == 1.5


@pytest.mark.parametrize(
    ("share", "shown"), [(None, "no data"), (1.0, "100 %"), (0.9999, "99.9 %"), (0.0, "0 %")]
)
def test_a_share_is_never_rounded_up_to_perfect(share: float | None, shown: str) -> None:
    assert percent(share) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, "–"),
        (0.0004, "< 1 ms"),
        (0.042, "42 ms"),
        (1.25, "1.2 s"),
        (59.99, "60.0 s"),
        (185, "3 min 5 s"),
        (7_260, "2 h 1 min"),
        (187_200, "2 d 4 h"),
    ],
)
def test_a_duration_has_two_units_at_most(seconds: float | None, shown: str) -> None:
    assert duration(seconds) == shown
