"""Targets are called by their dotted path, and a wrong path is told with its remedy."""

from types import SimpleNamespace
from typing import Any

import pytest
from django.test import override_settings
from django.utils.module_loading import import_string

from scheduling.errors import TargetError
from scheduling.targets import TASK_OF_ANY_TARGET, TASKS_OF_STANDING_TARGETS, call_target


def answer() -> int:
    return 42


async def answer_later() -> int:
    return 43


def call(path: str, name: str = "mine") -> Any:
    with override_settings(OPS_TARGETS={"mine": SimpleNamespace(callable=path)}):
        return call_target(name)


def test_a_target_is_called_whether_it_is_async_or_not() -> None:
    assert call("tests.unit.test_targets.answer") == 42
    assert call("tests.unit.test_targets.answer_later") == 43


@pytest.mark.parametrize("name", [*TASKS_OF_STANDING_TARGETS.values(), TASK_OF_ANY_TARGET])
def test_a_standing_task_declares_retries_with_exponential_backoff(name: str) -> None:
    task = import_string(name)
    assert task.autoretry_for == (Exception,)
    assert task.max_retries > 0
    assert 1 <= task.retry_backoff < task.retry_backoff_max


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("no.such.module.run", "'no.such.module.run' does not import"),
        ("json.no_such_name", "'json.no_such_name' does not import"),
        ("json.__doc__", "is not callable"),
    ],
)
def test_a_path_that_leads_nowhere_is_told_and_not_tried_again(path: str, reason: str) -> None:
    with pytest.raises(TargetError, match=reason) as refused:
        call(path)
    assert refused.value.retryable is False


def test_a_job_whose_target_the_setting_lost_says_so() -> None:
    with pytest.raises(TargetError, match="OPS_TARGETS has no target 'gone'"):
        call("json.dumps", name="gone")
