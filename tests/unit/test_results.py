"""What of a task's result goes into the ledger."""

import json
from uuid import uuid4

from billiard.einfo import ExceptionInfo

from scheduling.fence import Fence
from scheduling.storable import LARGEST_BYTES, encode_result
from scheduling.worker import endings
from scheduling.worker.child import LONGEST_TEXT, shorten


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
    described = json.loads(encode_result("x" * LARGEST_BYTES))
    assert described["too_large_bytes"] == LARGEST_BYTES + 2


class CodedError(Exception):
    code = "quota"
    retryable = False


def test_a_failure_with_a_text_of_megabytes_crosses_to_the_parent_in_short() -> None:
    try:
        raise CodedError("y z " * 5_000_000)
    except CodedError:
        info = ExceptionInfo()
    shorten(info)
    assert len(str(info.traceback)) < 2 * LONGEST_TEXT
    ending = endings.failure(Fence(uuid4(), 1), info)
    assert (ending.error_code, ending.retryable) == ("quota", False)
    assert ending.error.startswith("CodedError: y z")
    assert len(ending.error) <= endings.LONGEST_STORED


def test_a_failure_of_usual_size_crosses_as_it_is() -> None:
    try:
        raise CodedError("over quota")
    except CodedError:
        info = ExceptionInfo()
    before = info.exception
    shorten(info)
    assert info.exception is before
