"""What a job prints, read piece by piece while it prints it, whatever happens to the connection."""

import json
import time
from asyncio import sleep
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import httpx

from compute_horde.errors import ProtocolError
from compute_horde_sdk import events
from compute_horde_sdk.errors import (
    ComputeHordeNotFoundError,
    FacilitatorUnreachable,
    LogsUnavailable,
    RequestRefused,
)
from compute_horde_sdk.http import Facilitator, wait_before_next
from compute_horde_sdk.watch import NO_STREAM_HERE, PATIENCE_SECONDS

# The facilitator lets hear from it more often than this.
SILENCE_SECONDS = 45.0
MAX_PIECE_BYTES = 16 * 2**20
STREAMS = frozenset({"stdout", "stderr"})


@dataclass(frozen=True, slots=True)
class LogPiece:
    """A part of what a job printed.

    `cursor` is where the log goes on after it: the bytes of all text so far. A gap is a line that
    says what was lost.
    """

    stream: str
    text: str
    cursor: int
    is_gap: bool = False


class Reading:
    """The log of one job, from a cursor on."""

    def __init__(self, facilitator: Facilitator, uuid: str, *, follow: bool, from_: int) -> None:
        self._facilitator = facilitator
        self._uuid = uuid
        self._follow = follow
        self._cursor = from_
        self._heard_at = time.monotonic()
        self._rounds = 0
        self._is_over = False

    async def pieces(self) -> AsyncGenerator[LogPiece, None]:
        """Every piece once, in order, until the log ends; connects again as long as it takes."""
        while True:
            async with aclosing(self._until_broken()) as pieces:
                async for piece in pieces:
                    yield piece
            if self._is_over:
                return
            self._rounds += 1
            await sleep(wait_before_next(self._rounds))

    async def _until_broken(self) -> AsyncGenerator[LogPiece, None]:
        try:
            async with aclosing(self._streamed()) as stream:
                async for event in stream:
                    self._heard_at, self._rounds = time.monotonic(), 0
                    if event.name == "end":
                        self._is_over = True
                        return
                    piece = _piece(event)
                    if piece is not None and piece.cursor > self._cursor:
                        self._cursor = piece.cursor
                        yield piece
        except (httpx.HTTPError, FacilitatorUnreachable, RequestRefused) as exc:
            self._give_up_or_go_on(exc)
        except ComputeHordeNotFoundError as exc:
            # Either the job is unknown, which asking for it tells, or a facilitator without logs.
            await self._facilitator.get(f"api/v1/jobs/{self._uuid}/")
            raise _unavailable() from exc

    async def _streamed(self) -> AsyncGenerator[events.Event, None]:
        path = f"api/v1/jobs/{self._uuid}/logs?from={self._cursor}"
        if not self._follow:
            path += "&follow=false"
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        async with self._facilitator.stream(path, headers, SILENCE_SECONDS) as response:
            if not response.headers.get("Content-Type", "").startswith("text/event-stream"):
                raise _unavailable()
            self._heard_at = time.monotonic()
            parsed = events.parsed(response.aiter_bytes(), MAX_PIECE_BYTES)
            async with aclosing(parsed) as stream:
                async for event in stream:
                    yield event

    def _give_up_or_go_on(self, exc: Exception) -> None:
        """Raise unless the facilitator is likely to come back."""
        if isinstance(exc, RequestRefused):
            if exc.status_code in NO_STREAM_HERE:
                raise _unavailable() from exc
            if exc.status_code < 500 and exc.status_code != httpx.codes.TOO_MANY_REQUESTS:
                raise exc
        away = time.monotonic() - self._heard_at
        if away > PATIENCE_SECONDS:
            raise FacilitatorUnreachable(
                f"nothing heard of the log of job {self._uuid} for {away:.0f} s ({exc}); go on "
                f"later with compute-horde logs --from {self._cursor} {self._uuid}"
            ) from exc


def _piece(event: events.Event) -> LogPiece | None:
    """The piece in an event; None for events that we do not know."""
    if event.name != "message":
        return None
    try:
        told: Any = json.loads(event.data)
        stream, text, cursor = told["stream"], told["text"], int(event.id or "")
    except (ValueError, RecursionError, TypeError, LookupError) as exc:
        raise ProtocolError("a piece of a log is malformed") from exc
    if stream not in STREAMS or not isinstance(text, str):
        raise ProtocolError("a piece of a log is malformed")
    return LogPiece(stream, text, cursor, bool(told.get("is_gap")))


def _unavailable() -> LogsUnavailable:
    return LogsUnavailable(
        "this facilitator does not tell what a job prints while it runs; "
        "its output comes with its result: compute-horde job --wait"
    )
