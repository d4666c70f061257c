"""What of a task's result goes into the ledger."""

import json

from scheduling.worker.child import LARGEST_RESULT_BYTES, encode_result


def test_a_json_result_is_kept() -> None:
    assert json.loads(encode_result({"rows": [1, 2.5, None]})) == {"rows": [1, 2.5, None]}


def test_a_result_that_json_cannot_say_is_described() -> None:
    described = json.loads(encode_result({1, 2}))
    assert described["unserializable"] == "set"


def test_a_result_that_contains_itself_is_described() -> None:
    loop: list[object] = []
    loop.append(loop)
    assert json.loads(encode_result(loop))["unserializable"] == "list"


def test_not_a_number_is_described_because_databases_refuse_it() -> None:
    assert json.loads(encode_result(float("nan")))["unserializable"] == "float"


def test_a_result_over_the_limit_is_described_by_its_size() -> None:
    described = json.loads(encode_result("x" * LARGEST_RESULT_BYTES))
    assert described["too_large_bytes"] == LARGEST_RESULT_BYTES + 2
