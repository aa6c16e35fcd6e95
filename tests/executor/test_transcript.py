"""However much a job prints, a bounded part of it is kept."""

import pytest

from executor import transcript
from executor.transcript import GAP, HALF_CHARS, Transcript


@pytest.fixture
def printed(tmp_path):
    made = Transcript(tmp_path, 8 * 2**20)
    yield made
    made.close()


def whole(printed):
    return b"".join(printed.pieces())


def test_what_is_short_comes_out_as_it_went_in(printed):
    for piece in (b"one\n", b"two\n", b"\xff"):
        printed.feed(piece)
    assert printed.shown() == "one\ntwo\n\ufffd"
    assert whole(printed) == b"one\ntwo\n\xff"


def test_a_text_of_exactly_the_limit_is_not_cut(printed):
    text = "é" * 1_000_000
    printed.feed(text.encode())
    assert printed.shown() == text


@pytest.mark.parametrize("letter", ["a", "é", "€", "𝄞"])
@pytest.mark.parametrize("letters", [1_000_001, 1_700_000])
def test_a_longer_text_keeps_both_ends(printed, letter, letters):
    text = "<" + letter * (letters - 2) + ">"
    data = text.encode()
    for start in range(0, len(data), 65_537):
        printed.feed(data[start : start + 65_537])
    assert printed.shown() == text[:HALF_CHARS] + GAP + text[-HALF_CHARS:]
    assert whole(printed) == data


def test_what_is_over_the_disk_s_share_loses_its_middle(tmp_path):
    printed = Transcript(tmp_path, 2**20)
    piece = b"%07d\n" * 4096
    for number in range(1000):
        printed.feed(piece % ((number,) * 4096))
    kept = whole(printed)
    assert kept.startswith(b"0000000\n")
    assert kept.endswith(b"0000999\n")
    assert len(kept) < 2**20 + 2 * transcript.HALF_BYTES + 100
    missing = 1000 * len(piece % ((0,) * 4096)) - len(kept)
    assert b" bytes left out]\n" in kept
    assert missing > 0
    assert printed.shown().endswith("0000999\n")
    assert len(printed.shown()) == 1_000_000 + len(GAP)
    printed.close()


def test_a_full_disk_loses_the_middle_and_not_the_job(tmp_path):
    printed = Transcript(tmp_path / "no such place", 2**30)
    printed.feed(b"first")
    for _ in range(100):
        printed.feed(b"x" * 2**17)
    printed.feed(b"last")
    assert printed.shown().startswith("first")
    assert printed.shown().endswith("last")
    assert not printed.is_complete
