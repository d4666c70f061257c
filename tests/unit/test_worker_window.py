"""The window: how many messages a worker takes ahead, by how long its tasks run."""

from types import SimpleNamespace
from typing import Any

import pytest
from kombu.common import QoS

from scheduling.worker.window import LONG_SECONDS, WIDEST, Window

PROCESSES = 2


@pytest.fixture
def consumer() -> Any:
    return SimpleNamespace(
        qos=QoS(lambda **_: None, PROCESSES),
        pool=SimpleNamespace(num_processes=PROCESSES),
        timer=SimpleNamespace(call_repeatedly=lambda *_: None),
    )


def ran(window: Window, *seconds: float) -> None:
    for each in seconds:
        window.note_end(each)


def test_it_opens_once_every_process_has_run_something_short(consumer: Any) -> None:
    window = Window(consumer)
    ran(window, 0.01)
    assert consumer.qos.value == PROCESSES
    ran(window, 0.01)
    assert consumer.qos.value == PROCESSES + PROCESSES * 20


def test_it_has_a_bound(consumer: Any) -> None:
    ran(Window(consumer), 0.00001, 0.00001)
    assert consumer.qos.value == PROCESSES + PROCESSES * WIDEST


def test_one_long_task_closes_it(consumer: Any) -> None:
    window = Window(consumer)
    ran(window, 0.01, 0.01, LONG_SECONDS)
    assert consumer.qos.value == PROCESSES


def test_it_stays_closed_until_a_whole_look_saw_short_tasks_only(consumer: Any) -> None:
    window = Window(consumer)
    ran(window, LONG_SECONDS)
    window.look()
    ran(window, 0.01, 0.01)
    assert consumer.qos.value == PROCESSES
    window.look()
    ran(window, 0.01, 0.01)
    assert consumer.qos.value > PROCESSES


def test_an_idle_worker_takes_nothing_ahead(consumer: Any) -> None:
    window = Window(consumer)
    ran(window, 0.01, 0.01)
    for _ in range(3):
        window.look()
    assert consumer.qos.value == PROCESSES
