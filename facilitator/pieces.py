"""How pieces of output become one text: no piece twice, gaps named, bounded. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from compute_horde.protocol.extensions import OutputPrinted
from compute_horde.vocabulary import Stream

ROW_BYTES = 2**16
# What a row costs beside its text, lest a log be made of single bytes.
ROW_COST = 64
NOTHING_MORE = 2**63 - 1
MAX_OFFSET = 2**62


@dataclass(frozen=True, slots=True)
class Tail:
    """Where a stored log ends, and up to where the job's own output is in it."""

    end: int = 0
    number: int = 0
    source_end: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """A part of a stored log; `position` and `end` count its bytes, `source_end` the job's."""

    number: int
    position: int
    end: int
    source_end: int
    stream: Stream
    text: str
    is_gap: bool = False


def appended(tail: Tail, pieces: Iterable[OutputPrinted], limit: int) -> list[Row]:
    """The rows to add after `tail`; what is in the log already is left out."""
    rows: list[Row] = []
    for piece in pieces:
        source_end = min(piece.end, MAX_OFFSET)
        if source_end <= tail.source_end:
            continue
        if piece.offset > tail.source_end:
            lost = f"\n[{piece.offset - tail.source_end} bytes of the output were lost]\n"
            tail = _add(rows, tail, piece.offset, Stream.STDERR, lost, is_gap=True)
        text = after(piece.text, tail.source_end - piece.offset)
        text = text.replace("\0", "\N{REPLACEMENT CHARACTER}")
        if tail.end + len(text.encode()) + ROW_COST * tail.number > limit:
            lost = f"\n[the rest of the output is not kept: over {limit} bytes]\n"
            _add(rows, tail, NOTHING_MORE, Stream.STDERR, lost, is_gap=True)
            break
        tail = _add(rows, tail, source_end, piece.stream, text)
    return rows


def _add(
    rows: list[Row], tail: Tail, source_end: int, stream: Stream, text: str, *, is_gap: bool = False
) -> Tail:
    """Append to the last of these rows when it is of the same kind and short, else as a new one."""
    end = tail.end + len(text.encode())
    last = rows[-1] if rows else None
    alike = last and not is_gap and (last.stream, last.is_gap) == (stream, False)
    if last and alike and end - last.position <= ROW_BYTES:
        rows[-1] = replace(last, end=end, source_end=source_end, text=last.text + text)
        return Tail(end, tail.number, source_end)
    rows.append(Row(tail.number, tail.end, end, source_end, stream, text, is_gap))
    return Tail(end, tail.number + 1, source_end)


def after(text: str, skipped: int) -> str:
    """The text without its first bytes; a character that would be cut stays whole."""
    if skipped <= 0:
        return text
    data = text.encode()
    while skipped < len(data) and data[skipped] & 0xC0 == 0x80:
        skipped -= 1
    return data[skipped:].decode()
