"""Which copies of a dataset stay, and what is said of each."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from retention.errors import PolicyError
from retention.keeping import A_DAY_MORE, DAMAGED, ONLY_COPY, KeepingPolicy, StoredBackup

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
NOTHING = {"last": 0, "daily": 0, "weekly": 0, "monthly": 0, "yearly": 0}


def every(hours: float, count: int, **values: Any) -> list[StoredBackup]:
    """Return so many copies, the last made at noon, one each so many hours."""
    return [
        StoredBackup(
            backup_id=f"b{number}",
            sequence=number,
            created_at=NOON - timedelta(hours=hours * (count - number)),
            **{"intact": True, **values},
        )
        for number in range(1, count + 1)
    ]


def kept(policy: KeepingPolicy, backups: list[StoredBackup]) -> dict[str, tuple[str, ...]]:
    judged = policy.judge(backups, now=NOON)
    return {one.backup.backup_id: one.reasons for one in judged if not one.goes}


def test_the_last_stay() -> None:
    policy = KeepingPolicy(**{**NOTHING, "last": 2})
    assert kept(policy, every(1, 5)) == {"b5": ("minimum", "last"), "b4": ("last",)}


def test_of_each_day_the_newest_stays() -> None:
    policy = KeepingPolicy(**{**NOTHING, "daily": 3})
    assert kept(policy, every(8, 12)) == {
        "b12": ("minimum", "daily"),  # today, 12:00
        "b10": ("daily",),  # yesterday, 20:00
        "b7": ("daily",),
    }


def test_a_day_without_a_copy_does_not_count() -> None:
    policy = KeepingPolicy(**{**NOTHING, "daily": 3})
    assert set(kept(policy, every(24 * 5, 6))) == {"b6", "b5", "b4"}


@pytest.mark.parametrize(("rule", "days"), [("weekly", 7), ("monthly", 31), ("yearly", 366)])
def test_of_each_span_one_stays(rule: str, days: int) -> None:
    policy = KeepingPolicy(**{**NOTHING, rule: 3})
    assert set(kept(policy, every(24 * days, 6))) == {"b6", "b5", "b4"}
    assert len(kept(policy, every(1, 6))) <= 2


def test_what_is_recent_stays() -> None:
    policy = KeepingPolicy(**NOTHING, within_days=2)
    assert set(kept(policy, every(24, 5))) == {"b5", "b4", "b3"}


def test_one_that_could_not_be_read_back_counts_for_nothing_and_goes_by_its_place() -> None:
    policy = KeepingPolicy(**{**NOTHING, "last": 2})
    good, bad = every(1, 5), every(1, 5, intact=False)
    assert kept(policy, [good[0], good[1], bad[2], bad[3], good[4]]) == {
        "b5": ("minimum", "last"),
        "b4": (DAMAGED,),
        "b3": (DAMAGED,),
        "b2": ("last",),
    }
    assert set(kept(policy, [bad[0], good[1], good[2]])) == {"b3", "b2"}


def test_what_holds_deleted_files_goes_by_its_own_rule_and_takes_no_ones_place() -> None:
    copies, archives = every(24, 4), every(24, 9, only_copy=True)[4:]
    policy = KeepingPolicy(**{**NOTHING, "last": 1})
    assert kept(policy, copies + archives) == {
        **{f"b{number}": (ONLY_COPY,) for number in range(5, 10)},
        "b4": ("minimum", "last"),
    }
    aged = KeepingPolicy(**{**NOTHING, "last": 1}, deleted_copies_days=2)
    told = kept(aged, copies + archives)
    assert [name for name in told if told[name] == (A_DAY_MORE,)] == ["b6", "b5"]
    since = [replace(one, due_since=one.created_at) for one in archives]
    assert set(kept(aged, copies + since)) == {"b9", "b8", "b7", "b4"}


def test_a_hold_names_who_wants_it() -> None:
    policy = KeepingPolicy(**{**NOTHING, "last": 1})
    first, *rest = every(1, 3)
    held = [StoredBackup(**{**vars(first), "held": "ada: audit of 2026"}), *rest]
    assert kept(policy, held)["b1"] == ("held by ada: audit of 2026",)


@pytest.mark.parametrize(
    "values",
    [
        {"minimum": 0},
        {"last": -1},
        {"daily": True},
        {"weekly": 1.5},
        {"deleted_copies_days": 0},
        {"within_days": 36_501},
    ],
)
def test_a_policy_that_is_out_of_range_is_refused_with_its_field(values: dict[str, Any]) -> None:
    with pytest.raises(PolicyError, match=next(iter(values))):
        KeepingPolicy(**values)
