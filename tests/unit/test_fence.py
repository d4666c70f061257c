"""The header that names an attempt."""

from uuid import uuid4

import pytest

from scheduling.fence import Fence, parse_retries

RUN = "018f3a5c-0000-7000-8000-000000000000"


def test_a_fence_survives_its_header() -> None:
    fence = Fence(uuid4(), 3)
    assert Fence.parse(str(fence)) == fence


@pytest.mark.parametrize("header", [None, "abc", [1], -1, True, float("inf"), 10**9])
def test_an_odd_count_of_retries_is_none(header: object) -> None:
    assert parse_retries(header) == 0


def test_a_count_of_retries_is_read() -> None:
    assert parse_retries(3) == 3


@pytest.mark.parametrize("header", [None, "", "x", "x:1", RUN, f"{RUN}:", 7, b"x:1"])
def test_anything_else_is_no_fence(header: object) -> None:
    assert Fence.parse(header) is None
