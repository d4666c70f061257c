"""What `up` prints: the box of the first start."""

from opsproject.launch.first_start import framed


def test_a_box_is_as_wide_as_its_widest_line() -> None:
    assert framed("short", "a longer one").splitlines() == [
        "+--------------+",
        "| short        |",
        "| a longer one |",
        "+--------------+",
    ]
