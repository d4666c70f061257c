"""One record is one redacted line (CONVENTIONS 9 and 10)."""

import logging
import sys
import uuid
from typing import Any

import pytest
from pytest_django import Settings

from scheduling.logs import LineFormatter, configured_redactor


def line(message: str, *args: Any, name: str = "scheduling.engine", **extra: Any) -> str:
    record = logging.getLogger(name).makeRecord(
        name, logging.INFO, __file__, 1, message, args, None, extra=extra
    )
    record.created = 1_767_225_600.5
    return LineFormatter().format(record)


class Request:
    def __repr__(self) -> str:
        return "<Request: GET '/jobs?token=abcdef0123456789'>"


def test_what_an_object_says_of_itself_is_masked_too() -> None:
    shown = line("Unauthorized", request=Request(), errors=[Request()])
    assert "abcdef0123456789" not in shown
    assert shown.count("[REDACTED]") == 2


def test_a_message_of_megabytes_is_one_bounded_line() -> None:
    assert len(line("x y " * 2_000_000)) < 40_000


def test_a_record_is_its_time_level_logger_event_and_fields() -> None:
    run = uuid.UUID("f47ac10b-58cc-4372-a567-0e02b2c3d479")

    assert line("run finished", job_id="pipeline", run_id=run, attempt=1, note="two words") == (
        "2026-01-01T00:00:00.500Z INFO scheduling.engine run finished job_id=pipeline"
        ' run_id=f47ac10b-58cc-4372-a567-0e02b2c3d479 attempt=1 note="two words"'
    )


def test_message_and_fields_are_redacted_but_not_typed_fields() -> None:
    checksum = "b8" * 32

    shown = line(
        "mail to %s", "me@example.com", api_key="abc", url="redis://:pw@h/0", checksum=checksum
    )

    assert shown.endswith(
        f"mail to [REDACTED] api_key=[REDACTED] url=redis://[REDACTED]@h/0 checksum={checksum}"
    )


@pytest.mark.parametrize("end", ["\n", "\r\n", "\x0b", "\x0c", "\x1b[2J", "\x85", "\u2028", "\x00"])
def test_no_text_can_break_a_line_or_steer_a_terminal(end: str) -> None:
    shown = line(f"a{end}2026-01-01 ERROR forged", job_id=f"x{end}y", data={"k": end})

    assert len(shown.splitlines()) == 1
    assert shown.isprintable()


def test_a_traceback_follows_redacted_and_indented() -> None:
    try:
        int("password=hunter2\n2026-01-01T00:00:00.000Z INFO forged")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, __file__, 1, "failed", (), sys.exc_info())

    first, *rest = LineFormatter().format(record).splitlines()

    assert first.endswith("ERROR x failed")
    assert rest[0] == "    Traceback (most recent call last):"
    assert all(part.startswith("    ") for part in rest)
    assert "hunter2" not in "".join(rest)
    assert record.exc_text is None


def test_arguments_that_do_not_fit_are_said_and_not_shown() -> None:
    assert line("count %d", "me@example.com").endswith(
        "count %d (its arguments do not fit: TypeError)"
    )


def test_what_celery_adds_for_itself_is_left_out() -> None:
    assert line("task received", name="celery.worker.strategy", data={"args": "x"}).endswith(
        "received"
    )


def test_the_settings_decide_what_is_masked_and_how(settings: Settings) -> None:
    settings.OPS_REDACTION_PATTERNS = [r"CUST-\d+"]
    settings.OPS_REDACTION_PLACEHOLDER = "***"
    settings.OPS_REDACTION_KEEP_HASHES = True

    assert line("for CUST-42 at " + "a9" * 20).endswith("for *** at " + "a9" * 20)
    assert configured_redactor() is configured_redactor()
