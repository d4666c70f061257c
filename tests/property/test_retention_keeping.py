"""No sequence of snapshots makes the keeping rule drop the last one that can be read back."""

from hypothesis import given
from hypothesis import strategies as st

from retention.files import from_printable, printable
from retention.keeping import KeepingPolicy, Snapshot

snapshots = st.lists(st.booleans(), max_size=60).map(
    lambda states: [
        Snapshot(backup_id=str(number), sequence=number, intact=intact)
        for number, intact in enumerate(states)
    ]
)
PATHS = st.binary(min_size=1, max_size=30).map(lambda raw: raw.decode("utf-8", "surrogateescape"))


@given(snapshots=snapshots, last=st.integers(min_value=1, max_value=30))
def test_the_newest_intact_snapshots_always_stay(snapshots: list[Snapshot], last: int) -> None:
    removable = KeepingPolicy(last=last).removable(reversed(snapshots))

    intact = [snapshot for snapshot in snapshots if snapshot.intact]
    assert not set(intact[-last:]) & set(removable)
    assert len(set(intact) - set(removable)) == min(last, len(intact))


@given(snapshots=snapshots)
def test_nothing_goes_while_no_snapshot_is_intact(snapshots: list[Snapshot]) -> None:
    damaged = [snapshot for snapshot in snapshots if not snapshot.intact]

    assert KeepingPolicy(last=1).removable(damaged) == []


@given(path=PATHS | st.from_regex(r"(\\|\\udcff|u|é|\udcff){1,6}", fullmatch=True))
def test_a_printable_path_can_be_turned_back(path: str) -> None:
    text = printable(path)

    text.encode("utf-8")
    assert from_printable(text) == path
