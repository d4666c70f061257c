"""The redactor over texts nobody thought of: stable, total, linear on strings made to hurt it."""

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scheduling.redaction import Redactor

PIECES = (
    "password", "passwd", "secret", "token", "api_key", "key", "Key", "authorization", "Bearer ",
    "dsn", "--", "=", ":", "=>", " ", "\t", "\n", '"', "'", "\\", '\\"', ",", ";", "&", "(", ")",
    "[", "]", "{", "}", "/", "//", "://", "@", ".", "-", "_", "+", "%", "?", "#", "a", "Z", "7",
    "é", "키", "abc", "hunter2", "a1B2c3D4" * 4, "f" * 40, "e" * 64, "sk-", "sk-proj-", "ghp_",
    "xoxb-", "AKIA", "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "sk_live_", "eyJhbGci", "-----BEGIN RSA PRIVATE KEY-----", "-----END RSA PRIVATE KEY-----",
    "me@example.com", "/bot", "123456789:", "hooks.slack.com/services/",
    "discord.com/api/webhooks/", "https", "user:pw@host", "[REDACTED]", "XXX", "\ufdd0", "\ud800",
)  # fmt: skip
any_text = st.one_of(
    st.lists(st.sampled_from(PIECES), max_size=25).map("".join), st.text(max_size=80)
)
any_redactor = st.builds(
    Redactor,
    patterns=st.sampled_from([(), (r"cust-\d+", "a+b")]),
    placeholder=st.sampled_from(
        ["[REDACTED]", "***", "XXX", "** hidden **", "<x>", "redacted-value"]
    ),
    keep_hashes=st.booleans(),
)
any_value = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | any_text,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(any_text, inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=3000, deadline=None)
@given(redactor=any_redactor, text=any_text)
@example(Redactor(), 'password="abc\\')
@example(Redactor(placeholder="** hidden **"), "password=x")
@example(
    Redactor(placeholder="XXX", keep_hashes=True), "f" * 40 + "-----BEGIN RSA PRIVATE KEY-----"
)
@example(Redactor(("a+b",), placeholder="XXX"), "sk-proj-abc")
@example(Redactor(), "0@0.AA+@0.AA")
def test_masking_twice_is_masking_once(redactor: Redactor, text: str) -> None:
    once = redactor.text(text)

    assert redactor.text(once) == once


@settings(max_examples=300, deadline=None)
@given(redactor=any_redactor, value=any_value)
def test_masking_a_nested_value_twice_is_masking_it_once(redactor: Redactor, value: Any) -> None:
    once = redactor.value(value)

    assert redactor.value(once) == once


LENGTH = 500_000


@pytest.mark.timeout(20)  # quadratic time on such a length takes minutes
@pytest.mark.parametrize("piece", [*PIECES, *(a + b for a in PIECES[:9] for b in PIECES[10:40:5])])
def test_a_long_repetition_is_masked_in_linear_time(piece: str) -> None:
    assert isinstance(Redactor().text(piece * (LENGTH // len(piece))), str)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("end", ["", "@"])
@pytest.mark.parametrize("start", ["", "token=", 'token="', "a@", "eyJ", "sk-", "://", "Bearer "])
@pytest.mark.parametrize("run", [")", "a.", " ", "\\", "A/", "1:", '\\"', "-a"])
def test_a_long_run_between_edges_is_masked_in_linear_time(start: str, run: str, end: str) -> None:
    assert isinstance(Redactor().text(start + run * (LENGTH // len(run)) + end), str)
