"""Replaces truncated output in a job's result by the full output from the job's log."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from compute_horde.nul_characters import replace_nul
from compute_horde.protocol.truncation import GAP, HALF_CHARACTERS, SHOWN_CHARACTERS
from compute_horde_sdk.errors import ComputeHordeError
from compute_horde_sdk.job_result import ComputeHordeJobResult

if TYPE_CHECKING:
    from compute_horde_sdk.facilitator.job_logs import LogPiece

MAX_CHARACTERS = 256 * 2**20


async def complete(result: ComputeHordeJobResult, log: "AsyncIterator[LogPiece]") -> None:
    """Replace the truncated streams of `result` by their full text from `log`.

    A stream stays unchanged, and listed in `truncated`, when the log cannot be read, has a gap,
    exceeds `MAX_CHARACTERS`, or does not match the beginning and end that the result has. The same
    holds when the log's text has not as many bytes as the job printed: the output is not UTF-8
    then.
    """
    texts: dict[str, list[str]] = {
        stream: [] for stream in ("stdout", "stderr") if _is_truncated(result, stream)
    }
    if not texts:
        return
    characters = 0
    try:
        async for piece in log:
            if piece.is_gap:
                return
            if piece.stream in texts:
                texts[piece.stream].append(piece.text)
                characters += len(piece.text)
            if characters > MAX_CHARACTERS:
                return
    except ComputeHordeError:
        return
    for stream, pieces in texts.items():
        _replace(result, stream, "".join(pieces))


def _replace(result: ComputeHordeJobResult, stream: str, full_text: str) -> None:
    """Replace `stream` in the result by `full_text` if both match."""
    shown = getattr(result, stream)
    if not _agrees(full_text, shown):
        return
    if len(full_text.encode("utf-8", "surrogatepass")) != result.truncated[stream]:
        result.no_text_in_log.add(stream)
        return
    setattr(result, stream, full_text + _notes(shown))
    del result.truncated[stream]


def _is_truncated(result: ComputeHordeJobResult, stream: str) -> bool:
    """Whether the middle of `stream` is missing from the result."""
    return stream in result.truncated and len(getattr(result, stream)) > SHOWN_CHARACTERS


def _agrees(full_text: str, shown: str) -> bool:
    """Whether `shown` is the beginning and end of `full_text`, maybe with an executor's note."""
    shown = replace_nul(shown)  # As in the stored log.
    head, tail = shown[:HALF_CHARACTERS], _tail(shown)
    return len(full_text) > len(head) and full_text.startswith(head) and full_text.endswith(tail)


def _tail(shown: str) -> str:
    start = HALF_CHARACTERS + len(GAP)
    return shown[start : start + HALF_CHARACTERS]


def _notes(shown: str) -> str:
    """The notes that the executor or the validator appended to the output."""
    return shown[2 * HALF_CHARACTERS + len(GAP) :]
