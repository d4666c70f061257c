"""What `up` prints: the box of the first start and the table of the ledger."""

from opsproject.launch.first_start import framed
from opsproject.launch.smoke import table


def test_a_box_is_as_wide_as_its_widest_line() -> None:
    assert framed("short", "a longer one").splitlines() == [
        "+--------------+",
        "| short        |",
        "| a longer one |",
        "+--------------+",
    ]


def test_a_table_has_columns_as_wide_as_their_widest_cell() -> None:
    rows = table(("job", "state"), [("pipeline", "done"), ("x", "failed")]).splitlines()
    assert rows == ["job       state", "pipeline  done", "x         failed"]


def test_a_table_without_rows_is_its_headings() -> None:
    assert table(("job", "state"), []) == "job  state"
