"""Reads a job's log while it is written, reconnecting when the connection is lost."""

import time
from asyncio import sleep
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import httpx

from compute_horde.errors import ProtocolError
from compute_horde_sdk.errors import (
    ComputeHordeNotFoundError,
    FacilitatorUnreachable,
    LogsUnavailable,
    RequestRefused,
    attach_job_to_errors,
)
from compute_horde_sdk.facilitator import bounded_json, decoding, sse
from compute_horde_sdk.facilitator.http import Facilitator, wait_before_next
from compute_horde_sdk.facilitator.job_updates import MAX_OUTAGE_SECONDS, NO_STREAM_STATUSES

# Timeout for reading; the facilitator sends heartbeats more often than this.
SILENCE_SECONDS = 45.0
MAX_PIECE_BYTES = 16 * 2**20
BEYOND_END = httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE
STREAMS = frozenset({"stdout", "stderr"})


@dataclass(frozen=True, slots=True)
class LogPiece:
    """A part of a job's output.

    `cursor` is the position after it in the log, in bytes of UTF-8. The text of a gap is a note
    about lost output.
    """

    stream: str
    text: str
    cursor: int
    is_gap: bool = False


class JobLogReader:
    """Reads the log of one job from a byte position; with `follow`, until the job has ended."""

    def __init__(self, facilitator: Facilitator, uuid: str, *, follow: bool, from_: int) -> None:
        self._facilitator = facilitator
        self._uuid = uuid
        self._follow = follow
        self._cursor = from_
        self._last_received = time.monotonic()
        self._rounds_since_event = 0
        self._is_over = False

    async def pieces(self, job: object = None) -> AsyncGenerator[LogPiece, None]:
        """Yield every piece once, in order, until the log ends; reconnects automatically.

        Errors get `job` set. Raises `LogsUnavailable` when the facilitator has no logs.
        """
        with attach_job_to_errors(self._uuid, job):
            async with aclosing(self._all_pieces()) as pieces:
                async for piece in pieces:
                    yield piece

    async def _all_pieces(self) -> AsyncGenerator[LogPiece, None]:
        while True:
            async with aclosing(self._pieces_until_disconnect()) as pieces:
                async for piece in pieces:
                    yield piece
            if self._is_over:
                return
            self._rounds_since_event += 1
            await sleep(wait_before_next(self._rounds_since_event))

    async def _pieces_until_disconnect(self) -> AsyncGenerator[LogPiece, None]:
        try:
            async with aclosing(self._open_stream()) as stream:
                async for event in stream:
                    self._last_received, self._rounds_since_event = time.monotonic(), 0
                    if event.name == "end":
                        self._is_over = True
                        return
                    piece = _piece(event)
                    if piece is not None and piece.cursor > self._cursor:
                        self._cursor = piece.cursor
                        yield piece
        except (httpx.HTTPError, FacilitatorUnreachable, RequestRefused) as exc:
            self._raise_unless_temporary(exc)
            self._facilitator.report_problem("the connection for the log is lost; trying again")
        except ComputeHordeNotFoundError as exc:
            # Fetching the job raises if it does not exist; otherwise the facilitator has no logs.
            await self._facilitator.get(f"api/v1/jobs/{self._uuid}/")
            raise _unavailable() from exc

    async def _open_stream(self) -> AsyncGenerator[sse.ServerSentEvent, None]:
        path = f"api/v1/jobs/{self._uuid}/logs?from={self._cursor}"
        if not self._follow:
            path += "&follow=false"
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        async with self._facilitator.stream(path, headers, SILENCE_SECONDS) as response:
            if not response.headers.get("Content-Type", "").startswith("text/event-stream"):
                raise _unavailable()
            self._last_received = time.monotonic()
            parsed = sse.parsed(decoding.pieces(response), MAX_PIECE_BYTES)
            async with aclosing(parsed) as stream:
                async for event in stream:
                    yield event

    def _raise_unless_temporary(self, exc: Exception) -> None:
        """Raise `exc` unless retrying may help; raise after `MAX_OUTAGE_SECONDS` in any case."""
        if isinstance(exc, RequestRefused):
            if exc.status_code in NO_STREAM_STATUSES:
                raise _unavailable() from exc
            if exc.status_code == BEYOND_END:
                raise RequestRefused(
                    f"the log of job {self._uuid} cannot be read from byte {self._cursor} on, "
                    f"which is beyond its end: {exc.details or 'it is shorter'}",
                    status_code=exc.status_code,
                    details=exc.details,
                ) from exc
            if exc.status_code < 500 and exc.status_code != httpx.codes.TOO_MANY_REQUESTS:
                raise exc
        away = time.monotonic() - self._last_received
        if away > MAX_OUTAGE_SECONDS:
            raise FacilitatorUnreachable(
                f"no data of the log of job {self._uuid} for {away:.0f} s ({exc}); resume later "
                f"with compute-horde logs --from {self._cursor} {self._uuid}"
            ) from exc


def _piece(event: sse.ServerSentEvent) -> LogPiece | None:
    """The piece in an event; None for unknown events."""
    if event.name != "message":
        return None
    try:
        fields: Any = bounded_json.parsed(event.data.encode())
        stream, text, cursor = fields["stream"], fields["text"], int(event.id or "")
    except (ValueError, RecursionError, TypeError, LookupError) as exc:
        raise ProtocolError("a piece of a log is malformed") from exc
    if stream not in STREAMS or not isinstance(text, str):
        raise ProtocolError("a piece of a log is malformed")
    return LogPiece(stream, text, cursor, bool(fields.get("is_gap")))


def _unavailable() -> LogsUnavailable:
    return LogsUnavailable(
        "this facilitator has no logs of running jobs; "
        "a job's output comes with its result: compute-horde job --wait"
    )
