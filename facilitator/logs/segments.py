"""Merges pieces of output into one bounded text, without duplicates and with gaps marked. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from compute_horde.nul_characters import replace_nul
from compute_horde.protocol.extensions import OutputPrinted
from compute_horde.vocabulary import Stream

# Longest log of one job, unless the operator sets `FACILITATOR_LOG_MAX_BYTES`.
DEFAULT_LOG_BYTES = 64 * 2**20
# Longest text of a row to which more is appended.
ROW_BYTES = 2**16
# Counted against the limit for each row, so that rows of one byte are not free.
ROW_OVERHEAD_BYTES = 64
# `source_end` of a log that takes no more pieces.
LOG_FULL = 2**63 - 1
MAX_OFFSET = 2**62


@dataclass(frozen=True, slots=True)
class LogEnd:
    """Where a stored log ends.

    `end` is its length in bytes, `number` that of the next row, and `source_end` the count of
    bytes of the job's own output up to there.
    """

    end: int = 0
    number: int = 0
    source_end: int = 0


@dataclass(frozen=True, slots=True)
class Segment:
    """A row of a stored log.

    `position` and `end` count bytes of the log, `source_end` bytes of the job's own output.
    """

    number: int
    position: int
    end: int
    source_end: int
    stream: Stream
    text: str
    is_gap: bool = False


def new_segments(log_end: LogEnd, pieces: Iterable[OutputPrinted], limit: int) -> list[Segment]:
    """The rows to add after `log_end`, without what the log contains already.

    A gap in the output and the end at `limit` bytes become rows with a note.
    """
    rows: list[Segment] = []
    for piece in pieces:
        source_end = min(piece.end, MAX_OFFSET)
        if source_end <= log_end.source_end:
            continue
        if piece.offset > log_end.source_end:
            lost = f"\n[{piece.offset - log_end.source_end} bytes of the output were lost]\n"
            log_end = _add(rows, log_end, piece.offset, Stream.STDERR, lost, is_gap=True)
        text = replace_nul(skip_bytes(piece.text, log_end.source_end - piece.offset))
        if log_end.end + len(text.encode()) + ROW_OVERHEAD_BYTES * log_end.number > limit:
            lost = f"\n[the rest of the output is not kept: over {limit} bytes]\n"
            _add(rows, log_end, LOG_FULL, Stream.STDERR, lost, is_gap=True)
            break
        log_end = _add(rows, log_end, source_end, piece.stream, text)
    return rows


def _add(
    rows: list[Segment],
    log_end: LogEnd,
    source_end: int,
    stream: Stream,
    text: str,
    *,
    is_gap: bool = False,
) -> LogEnd:
    """Append to the last row when it is of the same stream and short, else add a row."""
    end = log_end.end + len(text.encode())
    last = rows[-1] if rows else None
    is_same_kind = last and not is_gap and (last.stream, last.is_gap) == (stream, False)
    if last and is_same_kind and end - last.position <= ROW_BYTES:
        rows[-1] = replace(last, end=end, source_end=source_end, text=last.text + text)
        return LogEnd(end, log_end.number, source_end)
    rows.append(Segment(log_end.number, log_end.end, end, source_end, stream, text, is_gap))
    return LogEnd(end, log_end.number + 1, source_end)


def skip_bytes(text: str, skipped: int) -> str:
    """The text without its first `skipped` UTF-8 bytes; a character cut in two is kept whole."""
    if skipped <= 0:
        return text
    data = text.encode()
    while skipped < len(data) and data[skipped] & 0xC0 == 0x80:
        skipped -= 1
    return data[skipped:].decode()
