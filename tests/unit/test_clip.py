"""Bounding a text never leaves half of a secret behind."""

from hypothesis import given
from hypothesis import strategies as st

from scheduling.redaction import Redactor, clip


def test_a_short_text_stays_as_it_is() -> None:
    assert clip("a b", 10) == "a b"


def test_a_long_text_keeps_its_beginning_and_its_end() -> None:
    text = clip("begin " + "middle " * 10_000 + "end", 1_000)
    assert text.startswith("begin ")
    assert text.endswith("end")
    assert "characters left out" in text
    assert len(text) < 1_100


@given(st.integers(0, 2_000), st.integers(0, 2_000))
def test_a_secret_at_the_cut_is_masked_or_gone(before: int, after: int) -> None:
    secret = "ghp_" + "a1B2" * 9
    text = "word " * (before // 5) + secret + " word" * (after // 5)
    shown = Redactor().text(clip(text, 500))
    assert "ghp_" not in shown
    assert "a1B2a1B2" not in shown
