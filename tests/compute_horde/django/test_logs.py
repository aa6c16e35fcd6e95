"""A log line shows its fields."""

import logging
import sys

from compute_horde.django.logs import FieldFormatter


def line(message: str, *args: object, error: bool = False, **fields: object) -> str:
    exc_info = None
    if error:
        try:
            _ = 1 / 0
        except ZeroDivisionError:
            exc_info = sys.exc_info()
    record = logging.LogRecord("miner.web", logging.INFO, __file__, 1, message, args, exc_info)
    vars(record).update(fields)
    return FieldFormatter().format(record)


def test_every_extra_field_follows_the_text():
    assert line("job heard", job="7", facts=2).endswith(
        " INFO miner.web: job heard job='7' facts=2"
    )


def test_a_line_without_fields_ends_with_its_text():
    assert line("ready on %s", 80).endswith(" INFO miner.web: ready on 80")


def test_a_traceback_follows_on_lines_of_its_own():
    head, *rest = line("failed", error=True, job="7").split("\n")
    assert head.endswith("failed job='7'")
    assert rest[0].startswith("Traceback")
    assert rest[-1] == "ZeroDivisionError: division by zero"


def test_a_field_cannot_forge_another_line():
    assert "\n" not in line("heard", told="a\n2026 ERROR root: forged")
