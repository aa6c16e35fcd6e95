"""Merging pieces of output into one text."""

from itertools import pairwise

from compute_horde.protocol.extensions import OutputPrinted
from compute_horde.vocabulary import Stream
from facilitator.logs.segments import (
    LOG_FULL,
    ROW_BYTES,
    ROW_OVERHEAD_BYTES,
    LogEnd,
    Segment,
    new_segments,
    skip_bytes,
)

ROOMY = 10**9
OUT, ERR = Stream.STDOUT, Stream.STDERR


def piece(offset: int, text: str, stream: Stream = OUT) -> OutputPrinted:
    job = "11111111-1111-1111-1111-111111111111"
    return OutputPrinted(job_uuid=job, offset=offset, stream=stream, text=text)


def tail_of(rows: list[Segment]) -> LogEnd:
    last = rows[-1]
    return LogEnd(last.end, last.number + 1, last.source_end)


def texts(rows: list[Segment]) -> list[str]:
    return [row.text for row in rows]


def test_pieces_of_one_stream_are_one_row():
    rows = new_segments(LogEnd(), [piece(0, "ä"), piece(2, "b"), piece(3, "c", ERR)], ROOMY)
    assert rows == [Segment(0, 0, 3, 3, OUT, "äb"), Segment(1, 3, 4, 4, ERR, "c")]
    more = new_segments(tail_of(rows), [piece(4, "d", ERR)], ROOMY)
    assert more == [Segment(2, 4, 5, 5, ERR, "d")]


def test_rows_have_a_bounded_length_and_meet():
    rows = new_segments(LogEnd(), [piece(n * 1000, "x" * 1000) for n in range(200)], ROOMY)
    assert max(row.end - row.position for row in rows) <= ROW_BYTES
    assert all(one.end == two.position for one, two in pairwise(rows))
    assert "".join(texts(rows)) == "x" * 200_000


def test_repeats_and_their_known_beginnings_are_left_out():
    rows = new_segments(LogEnd(), [piece(0, "abc"), piece(0, "abc"), piece(1, "bcd")], ROOMY)
    assert texts(rows) == ["abcd"]
    assert new_segments(tail_of(rows), [piece(0, "abcd"), piece(2, "c")], ROOMY) == []


def test_a_gap_is_a_line_of_its_own():
    rows = new_segments(LogEnd(), [piece(0, "a"), piece(124, "b")], ROOMY)
    assert texts(rows) == ["a", "\n[123 bytes of the output were lost]\n", "b"]
    assert [row.is_gap for row in rows] == [False, True, False]
    assert tail_of(rows).source_end == 125
    assert all(one.end == two.position for one, two in pairwise(rows))


def test_what_is_too_much_is_noted_once_and_nothing_more_is_kept():
    rows = new_segments(LogEnd(), [piece(0, "x" * 90), piece(90, "y" * 90), piece(180, "z")], 100)
    assert texts(rows) == ["x" * 90, "\n[the rest of the output is not kept: over 100 bytes]\n"]
    assert tail_of(rows).source_end == LOG_FULL
    assert new_segments(tail_of(rows), [piece(500, "more")], 100) == []


def test_a_log_of_single_bytes_is_bounded_too():
    tail, count = LogEnd(), 0
    while rows := new_segments(tail, [piece(tail.source_end, "x")], 100 * ROW_OVERHEAD_BYTES):
        tail, count = tail_of(rows), count + 1
    assert count <= 101


def test_what_the_database_cannot_hold_is_replaced():
    rows = new_segments(LogEnd(), [piece(0, "a\0b")], ROOMY)
    assert texts(rows) == ["a\N{REPLACEMENT CHARACTER}b"]
    assert (rows[0].end, rows[0].source_end) == (5, 3)


def test_an_absurd_offset_fits_the_database():
    rows = new_segments(LogEnd(), [piece(2**63 - 1, "x")], ROOMY)
    assert all(row.source_end < 2**63 for row in rows)


def test_a_character_is_never_cut():
    assert [skip_bytes("aöb", n) for n in range(5)] == ["aöb", "öb", "öb", "b", ""]
    assert skip_bytes("a", -1) == "a"
