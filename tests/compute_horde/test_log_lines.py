"""A log line shows its fields."""

import logging
import sys

import pytest

from compute_horde.log_lines import FieldFormatter


def _raised(error: BaseException):
    try:
        raise error
    except type(error):
        return sys.exc_info()


def line(message: str, *args: object, error: BaseException | None = None, **fields: object) -> str:
    exc_info = _raised(error) if error else None
    record = logging.LogRecord("miner.server", logging.INFO, __file__, 1, message, args, exc_info)
    vars(record).update(fields)
    return FieldFormatter().format(record)


def test_every_extra_field_follows_the_text():
    assert line("job heard", job="7", facts=2).endswith(
        " INFO miner.server: job heard job='7' facts=2"
    )


def test_a_line_without_fields_ends_with_its_text():
    assert line("ready on %s", 80).endswith(" INFO miner.server: ready on 80")


def test_a_traceback_follows_on_lines_of_its_own():
    head, *rest = line("failed", error=ZeroDivisionError("division by zero"), job="7").split("\n")
    assert head.endswith("failed job='7'")
    assert rest[0].startswith("Traceback")
    assert rest[-1] == "ZeroDivisionError: division by zero"


def test_a_field_cannot_forge_another_line():
    assert "\n" not in line("heard", sent="a\n2026 ERROR root: forged")


class OutsideError(Exception):
    """As in the tree of errors."""


@pytest.mark.parametrize("kind", [OutsideError, ConnectionRefusedError, TimeoutError])
def test_an_error_of_the_world_outside_is_told_in_the_same_line(kind):
    output = line("failed", error=kind("node\n away"), job="7")
    assert "\n" not in output
    assert output.partition(" failed ")[2].startswith(
        "job='7' problem='node away' at='compute_horde/test_log_lines"
    )


def test_another_handler_still_finds_the_traceback():
    record = logging.makeLogRecord({"msg": "failed", "exc_info": _raised(TimeoutError("late"))})
    FieldFormatter().format(record)
    assert record.exc_info


@pytest.mark.parametrize(
    "text",
    [
        "redis://:hush@host:6379/0",
        "postgresql://user:hush@host/name",
        "wss://hush@node/",
    ],
)
def test_credentials_of_urls_are_left_out_everywhere(text):
    for output in (
        line("at %s", text),
        line("at", url=text),
        line("at", error=ValueError(text)),
        line("at", error=OutsideError(text)),
    ):
        assert "hush" not in output
        assert "://***@" in output
