"""When the next run of a chain is due, by example (SPEC A8)."""

from datetime import UTC, datetime, timedelta

import pytest

from scheduling.recurrence import Chain, Crontab, RecurrenceError, from_spec

MINUTES = Crontab(minute="*/5")
WEEKDAYS_AT_NINE = Crontab("0", "9", "1-5")
TWO_MINUTES = timedelta(seconds=120)
SATURDAY = datetime(2026, 1, 3, 10, 0, 7, tzinfo=UTC)
MONDAY_AT_NINE = datetime(2026, 1, 5, 9, tzinfo=UTC)


def test_without_a_crontab_the_delay_runs_from_the_end() -> None:
    chain = Chain(TWO_MINUTES, None)
    assert chain.due_after(SATURDAY) == SATURDAY + TWO_MINUTES
    assert chain.due_after(SATURDAY, first=True) == SATURDAY + TWO_MINUTES


def test_without_a_delay_the_crontab_is_waited_for_after_the_end() -> None:
    chain = Chain(None, MINUTES)
    assert chain.due_after(SATURDAY) == SATURDAY.replace(minute=5, second=0)


@pytest.mark.parametrize("delay", [None, TWO_MINUTES, timedelta(days=1)])
def test_a_weekday_job_waits_for_its_weekday_whatever_its_interval(delay: timedelta | None) -> None:
    chain = Chain(delay, WEEKDAYS_AT_NINE)
    assert chain.due_after(SATURDAY, first=True) == MONDAY_AT_NINE
    assert chain.due_after(SATURDAY) == MONDAY_AT_NINE
    assert chain.due_after(MONDAY_AT_NINE) == MONDAY_AT_NINE + timedelta(days=1)


def test_a_crontab_of_minutes_begins_the_chain_and_the_delay_goes_on() -> None:
    chain = Chain(TWO_MINUTES, MINUTES)
    assert chain.due_after(SATURDAY, first=True) == SATURDAY.replace(minute=5, second=0)
    assert chain.due_after(SATURDAY) == SATURDAY + TWO_MINUTES


@pytest.mark.parametrize("spelt", ["*", "*/1", "0-23"])
def test_every_hour_is_no_restriction_however_it_is_spelt(spelt: str) -> None:
    chain = Chain(TWO_MINUTES, Crontab("*/5", spelt))
    assert chain.due_after(SATURDAY) == SATURDAY + TWO_MINUTES


@pytest.mark.parametrize(
    "cron",
    [
        Crontab("*/5", "9-17"),
        Crontab("*/5", "*", "1-5"),
        Crontab("*/5", "*", "*", "1"),
        Crontab("*/5", "*", "*", "*", "1"),
    ],
)
def test_a_crontab_that_restricts_more_than_minutes_decides(cron: Crontab) -> None:
    assert Chain(TWO_MINUTES, cron).due_after(SATURDAY) == cron.next_after(SATURDAY)


def test_nothing_is_due_before_the_earliest() -> None:
    later = SATURDAY + timedelta(hours=1)
    assert Chain(TWO_MINUTES, None).due_after(SATURDAY, earliest=later) == later
    assert Chain(TWO_MINUTES, None).due_after(later, earliest=SATURDAY) == later + TWO_MINUTES
    by_cron = Chain(None, WEEKDAYS_AT_NINE)
    assert by_cron.due_after(SATURDAY, earliest=MONDAY_AT_NINE) == MONDAY_AT_NINE
    after = MONDAY_AT_NINE + timedelta(seconds=1)
    assert by_cron.due_after(SATURDAY, earliest=after) == MONDAY_AT_NINE + timedelta(days=1)


def test_a_chain_ends_where_the_calendar_ends() -> None:
    assert Chain(TWO_MINUTES, None).due_after(datetime.max.replace(tzinfo=UTC)) is None


def test_no_tick_of_a_chain_can_be_foretold() -> None:
    chain = Chain(TWO_MINUTES, MINUTES)
    window = SATURDAY, SATURDAY + timedelta(days=9)
    assert (chain.count(*window), chain.latest(*window), list(chain.between(*window))) == (
        0,
        None,
        [],
    )


@pytest.mark.parametrize(
    ("chain", "words"),
    [
        (Chain(TWO_MINUTES, None), "2 minutes after the last run's end"),
        (Chain(timedelta(hours=1), None), "1 hour after the last run's end"),
        (Chain(timedelta(seconds=1.5), None), "1.5 seconds after the last run's end"),
        (
            Chain(TWO_MINUTES, MINUTES),
            "2 minutes after the last run's end, beginning every 5 minutes",
        ),
        (Chain(None, MINUTES), "every 5 minutes, one run after the other"),
        (
            Chain(TWO_MINUTES, WEEKDAYS_AT_NINE),
            "at 09:00, Monday through Friday, one run after the other",
        ),
    ],
)
def test_a_chain_says_in_words_what_it_does(chain: Chain, words: str) -> None:
    assert chain.in_words() == words


@pytest.mark.parametrize(
    "chain",
    [Chain(TWO_MINUTES, None), Chain(timedelta(seconds=1.5), MINUTES), Chain(None, MINUTES)],
)
def test_a_chain_survives_its_own_spec(chain: Chain) -> None:
    assert from_spec("chain", chain.spec()) == chain


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"delay_seconds": None, "cron": None},
        {"delay_seconds": 0, "cron": None},
        {"delay_seconds": "soon", "cron": None},
        {"delay_seconds": 1e30, "cron": None},
        {"delay_seconds": 60, "cron": {"minute": "61"}},
        {"delay_seconds": 60, "cron": "*/5"},
    ],
)
def test_a_chain_that_cannot_be_is_refused(spec: dict[str, object]) -> None:
    with pytest.raises(RecurrenceError):
        from_spec("chain", spec)


def test_equal_chains_are_one_value() -> None:
    assert Chain(TWO_MINUTES, MINUTES) == Chain(timedelta(minutes=2), Crontab(minute="*/5"))
