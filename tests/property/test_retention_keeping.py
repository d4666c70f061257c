"""No sequence of backups, holds and clock readings drops what alone can be read back."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from retention.files import from_printable, printable
from retention.keeping import KeepingPolicy, StoredBackup

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
ANY_TIME = st.timedeltas(timedelta(days=-4000), timedelta(days=4000)).map(lambda ago: BEGIN + ago)
PATHS = st.binary(min_size=1, max_size=30).map(lambda raw: raw.decode("utf-8", "surrogateescape"))
FEW = st.integers(min_value=0, max_value=6)


@st.composite
def backup_lists(draw: Callable[[st.SearchStrategy[Any]], Any]) -> list[StoredBackup]:
    """Backups in their chain, under a clock that goes wherever it likes."""
    return [
        StoredBackup(
            backup_id=f"b{number}",
            sequence=number,
            created_at=draw(ANY_TIME),
            intact=draw(st.booleans()),
            only_copy=draw(st.booleans()),
            due_since=draw(st.none() | ANY_TIME),
            held=draw(st.sampled_from(["", "", "", "ada: audit"])),
        )
        for number in range(draw(st.integers(min_value=0, max_value=40)))
    ]


policies = st.builds(
    KeepingPolicy,
    last=FEW,
    daily=FEW,
    weekly=FEW,
    monthly=FEW,
    yearly=FEW,
    within_days=st.sampled_from([0, 0, 1, 30]),
    minimum=st.integers(min_value=1, max_value=6),
    deleted_copies_days=st.sampled_from([None, None, 1, 365]),
)


@given(backups=backup_lists(), policy=policies, now=ANY_TIME)
def test_the_newest_intact_copies_always_stay(
    backups: list[StoredBackup], policy: KeepingPolicy, now: datetime
) -> None:
    gone = {one.backup.backup_id for one in policy.judge(reversed(backups), now=now) if one.goes}
    intact = [one.backup_id for one in backups if one.intact and not one.only_copy]
    assert not gone & {*intact[-max(policy.minimum, policy.last) :]}


@given(backups=backup_lists(), policy=policies, now=ANY_TIME)
def test_what_alone_holds_deleted_files_goes_by_its_own_rule_only(
    backups: list[StoredBackup], policy: KeepingPolicy, now: datetime
) -> None:
    for one in policy.judge(backups, now=now):
        if one.goes and one.backup.only_copy:
            assert policy.deleted_copies_days is not None
            assert now - one.backup.created_at > timedelta(days=policy.deleted_copies_days)
            assert one.backup.due_since is not None
            assert now - one.backup.due_since >= timedelta(days=1)


@given(backups=backup_lists(), policy=policies, now=ANY_TIME)
def test_what_is_held_stays(
    backups: list[StoredBackup], policy: KeepingPolicy, now: datetime
) -> None:
    judged = policy.judge(backups, now=now)
    assert {one.backup.backup_id for one in judged} == {one.backup_id for one in backups}
    assert not [one for one in judged if one.goes and one.backup.held]


@given(backups=backup_lists(), policy=policies, now=ANY_TIME)
def test_nothing_goes_while_no_copy_is_intact(
    backups: list[StoredBackup], policy: KeepingPolicy, now: datetime
) -> None:
    damaged = [replace(one, intact=False, only_copy=False) for one in backups]
    assert not [one for one in policy.judge(damaged, now=now) if one.goes]


@given(backups=backup_lists(), policy=policies, readings=st.lists(ANY_TIME, max_size=5))
def test_removing_again_and_again_leaves_what_the_first_time_had_to_leave(
    backups: list[StoredBackup], policy: KeepingPolicy, readings: list[datetime]
) -> None:
    """Whatever the clock says in between: the last that can be read back is never among them."""
    left = backups
    for now in readings:
        left = [one.backup for one in policy.judge(left, now=now) if not one.goes]
    newest = [one for one in backups if one.intact and not one.only_copy][-1:]
    assert {one.backup_id for one in newest} <= {one.backup_id for one in left}


@given(path=PATHS | st.from_regex(r"(\\|\\udcff|u|é|\udcff){1,6}", fullmatch=True))
def test_a_printable_path_can_be_turned_back(path: str) -> None:
    text = printable(path)

    text.encode("utf-8")
    assert from_printable(text) == path
