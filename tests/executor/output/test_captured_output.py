"""A bounded part of a job's output is kept, however much it prints."""

import base64

import pytest

from executor.output import captured_output
from executor.output.captured_output import (
    GAP,
    HALF_CHARACTERS,
    CapturedOutput,
    raw_output,
    truncated,
)


@pytest.fixture
def printed(tmp_path):
    made = CapturedOutput(tmp_path, 8 * 2**20)
    yield made
    made.close()


def whole(printed):
    return b"".join(printed.pieces())


def test_what_is_short_comes_out_as_it_went_in(printed):
    for piece in (b"one\n", b"two\n", b"\xff"):
        printed.feed(piece)
    assert printed.truncated_text() == "one\ntwo\n\ufffd"
    assert whole(printed) == b"one\ntwo\n\xff"


def test_a_text_of_exactly_the_limit_is_not_cut(printed):
    text = "é" * 1_000_000
    printed.feed(text.encode())
    assert printed.truncated_text() == text


@pytest.mark.parametrize("letter", ["a", "é", "€", "𝄞"])
@pytest.mark.parametrize("letters", [1_000_001, 1_700_000])
def test_a_longer_text_keeps_both_ends(printed, letter, letters):
    text = "<" + letter * (letters - 2) + ">"
    data = text.encode()
    for start in range(0, len(data), 65_537):
        printed.feed(data[start : start + 65_537])
    assert printed.truncated_text() == text[:HALF_CHARACTERS] + GAP + text[-HALF_CHARACTERS:]
    assert whole(printed) == data


def test_what_is_over_the_disk_s_share_loses_its_middle(tmp_path):
    printed = CapturedOutput(tmp_path, 2**20)
    piece = b"%07d\n" * 4096
    for number in range(1000):
        printed.feed(piece % ((number,) * 4096))
    kept = whole(printed)
    assert kept.startswith(b"0000000\n")
    assert kept.endswith(b"0000999\n")
    assert len(kept) < 2**20 + 2 * captured_output.HALF_BYTES + 100
    missing = 1000 * len(piece % ((0,) * 4096)) - len(kept)
    assert b" bytes left out]\n" in kept
    assert missing > 0
    assert printed.truncated_text().endswith("0000999\n")
    assert len(printed.truncated_text()) == 1_000_000 + len(GAP)
    printed.close()


def test_a_full_disk_loses_the_middle_and_not_the_job(tmp_path):
    printed = CapturedOutput(tmp_path / "no such place", 2**30)
    printed.feed(b"first")
    for _ in range(100):
        printed.feed(b"x" * 2**17)
    printed.feed(b"last")
    assert printed.truncated_text().startswith("first")
    assert printed.truncated_text().endswith("last")
    assert not printed.is_complete


def test_the_streams_that_are_shortened_are_named_with_all_that_was_printed(tmp_path):
    short, long, empty = (CapturedOutput(tmp_path, 10**7) for _ in range(3))
    short.feed(b"x" * 1_000_000)
    long.feed("\N{EURO SIGN}".encode() * 1_000_001)
    assert truncated(short, long) == {"stderr": 3_000_003}
    assert truncated(long, empty) == {"stdout": 3_000_003}
    for one in (short, long, empty):
        one.close()


@pytest.mark.parametrize("data", [b"\xff" * 800_000, b"text " * 160_000 + b"\xff"])
def test_bytes_that_are_no_text_are_named_when_they_are_too_many_to_travel(tmp_path, data):
    binary, empty = CapturedOutput(tmp_path, 10**7), CapturedOutput(tmp_path, 10**7)
    binary.feed(data)
    assert raw_output(binary, empty) == {}
    assert truncated(binary, empty) == {"stdout": len(data)}
    binary.close()


def test_bytes_that_are_no_text_are_all_there_when_they_are_few(tmp_path):
    binary, empty = CapturedOutput(tmp_path, 10**7), CapturedOutput(tmp_path, 10**7)
    binary.feed(b"\xff" * 750_000)
    assert base64.b64decode(raw_output(empty, binary)["stderr"]) == b"\xff" * 750_000
    assert truncated(empty, binary) == {}
    binary.close()


def test_a_short_stream_whose_middle_a_full_disk_lost_is_named(tmp_path):
    cut, empty = CapturedOutput(tmp_path / "no such place", 2**30), CapturedOutput(tmp_path, 2**30)
    for _ in range(20):
        cut.feed(b"x" * 2**15)
    cut.feed(b"y" * 5_000_000)
    assert not cut.is_complete
    assert truncated(cut, empty) == {"stdout": cut.total}
