"""What expires, and by which words a path is known (SPEC E6)."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retention.errors import PolicyError
from retention.policies import Category, DataRetentionPolicy, ns_since_epoch

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("path", "category"),
    [
        ("raw_snapshot/a.json", Category.RAW),
        ("2026/RAW.json", Category.RAW),
        ("photo.raw", Category.RAW),
        ("drawings/a.json", None),
        ("raw2024/a.json", None),
        ("strawberry/pattern.json", Category.PATTERN),
        ("raw/patterns/a", Category.PATTERN),
        ("raw/pattern/decisions.json", Category.DECISION),
        ("readme.md", None),
        ("raw\udcff/a", Category.RAW),
        ("a\nraw", Category.RAW),
    ],
)
def test_a_category_is_known_by_whole_words(path: str, category: Category | None) -> None:
    assert DataRetentionPolicy().category_of(path) is category


@pytest.mark.parametrize("path", ["/raw/a", "/raw"])
def test_an_absolute_path_is_refused(path: str) -> None:
    with pytest.raises(PolicyError, match="relative to the dataset root"):
        DataRetentionPolicy().category_of(path)
    with pytest.raises(PolicyError, match="relative to the dataset root"):
        DataRetentionPolicy().is_expired(path, 0, now=NOW)


PARTS = st.sampled_from(["raw", "RAW", "pattern", "decisions", "x", "\udcff", ".", "_", " ", "\n"])
PATHS = st.lists(st.lists(PARTS, min_size=1).map("".join), min_size=1).map("/".join)
DAYS = st.none() | st.integers(0, 3)


@given(
    paths=st.lists(st.tuples(PATHS, st.integers(-1, 4))),
    policy=st.builds(
        DataRetentionPolicy,
        raw_snapshot_days=DAYS,
        pattern_record_days=DAYS,
        decision_snapshot_days=DAYS,
    ),
)
def test_a_walk_is_judged_as_each_of_its_files(
    paths: list[tuple[str, int]], policy: DataRetentionPolicy
) -> None:
    judge = policy.judge(NOW)
    for path, age in paths:
        category = policy.category_of(path)
        days = None if category is None else policy.days_of(category)
        expired = None if category is None else days is not None and age > days
        assert judge(path, ns_since_epoch(NOW - timedelta(days=age))) is expired


@pytest.mark.parametrize(
    ("path", "age", "expired"),
    [
        ("raw/a", timedelta(days=7), False),
        ("raw/a", timedelta(days=7, microseconds=1), True),
        ("pattern/a", timedelta(days=29), False),
        ("pattern/a", timedelta(days=31), True),
        ("decision/a", timedelta(days=30_000), False),
        ("other/a", timedelta(days=30_000), False),
        ("raw/a", timedelta(days=-400), False),
        ("raw/a", timedelta(days=25_000), True),
    ],
)
def test_a_file_expires_by_the_days_of_its_category(
    path: str, age: timedelta, *, expired: bool
) -> None:
    assert DataRetentionPolicy().is_expired(path, ns_since_epoch(NOW - age), now=NOW) is expired


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"raw_snapshot_days": -1}, "days of raw is -1"),
        ({"raw_snapshot_days": True}, "days of raw is True"),
        ({"pattern_record_days": 1.5}, "days of pattern is 1.5"),
        ({"decision_snapshot_days": 36_501}, "0 to 36500"),
        ({"raw_words": "raw"}, "give a tuple"),
        ({"raw_words": ("Raw",)}, "lower case"),
        ({"raw_words": ("raw data",)}, "letters and digits"),
        ({"raw_words": ("pattern",)}, "given twice"),
    ],
)
def test_a_contradictory_policy_is_refused(fields: dict[str, object], complaint: str) -> None:
    with pytest.raises(PolicyError, match=complaint):
        DataRetentionPolicy(**fields)  # type: ignore[arg-type]  # wrong on purpose


def test_an_instant_without_a_zone_is_refused() -> None:
    with pytest.raises(PolicyError, match="no time zone"):
        DataRetentionPolicy().is_expired("raw/a", 0, now=datetime(2026, 3, 1))  # noqa: DTZ001
