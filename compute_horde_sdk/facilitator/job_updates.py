"""Status updates of one job, by event stream or else by polling."""

import asyncio
import itertools
import logging
import random
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import httpx

from compute_horde.errors import ProtocolError
from compute_horde_sdk.errors import (
    ComputeHordeNotFoundError,
    FacilitatorUnreachable,
    RequestRefused,
)
from compute_horde_sdk.facilitator import bounded_json, decoding, sse
from compute_horde_sdk.facilitator.http import Facilitator, wait_before_next
from compute_horde_sdk.job_status import (
    ComputeHordeJobStatusEntry,
    JobProgress,
    entry_from,
    progress_from,
)

# The stream is closed and the job polled once when nothing at all arrives for this long; the
# facilitator sends heartbeats more often.
SAFETY_POLL_SECONDS = 30.0
# The same when no update arrives for this long, but heartbeats do.
QUIET_POLL_SECONDS = 300.0
FIRST_POLL_SECONDS = 0.5
LONGEST_POLL_SECONDS = 3.0
# How long a facilitator may be unreachable before a wait fails.
MAX_OUTAGE_SECONDS = 120.0
NO_STREAM_STATUSES = frozenset({405, 406, 410, 501})
# While streams are refused, the job is polled and a stream asked for again after Retry-After, which
# is followed within these limits.
SHORTEST_RETRY_SECONDS, LONGEST_RETRY_SECONDS = 0.5, 30.0

Snapshot = dict[str, Any]

log = logging.getLogger(__name__)


class PushUnsupportedError(Exception):
    """This facilitator has no event stream."""


class JobWatcher:
    """Yields updates of one job, by event stream and polling, for as long as it is iterated."""

    def __init__(self, facilitator: Facilitator, uuid: str) -> None:
        self._facilitator = facilitator
        self._uuid = uuid
        self._last_event_id: str | None = None
        self._last_received = time.monotonic()
        self._rounds_since_event = 0
        self._polling_reported = False
        # How long to wait before asking again for a stream that was refused.
        self._retry_seconds: float | None = None

    async def updates(
        self,
    ) -> AsyncGenerator[ComputeHordeJobStatusEntry | JobProgress | Snapshot, None]:
        """Pushed statuses and progress, and the whole job's JSON whenever it was polled."""
        while True:
            if self._facilitator.pushes:
                async with aclosing(self._events_until_disconnect()) as pushed:
                    async for entry in pushed:
                        yield entry
            job = await self._poll()
            if job is not None:
                self._report_polling()
                yield job
            self._rounds_since_event += 1
            await asyncio.sleep(self._pause())

    def _report_polling(self) -> None:
        """Send a notice, once, that the facilitator has no event stream and is polled."""
        if not (self._facilitator.pushes or self._polling_reported):
            self._polling_reported = True
            self._facilitator.on_notice(
                "this facilitator has no stream of status updates: polling it "
                f"every {LONGEST_POLL_SECONDS:.0f} s"
            )

    def _pause(self) -> float:
        if self._retry_seconds is not None:
            return self._retry_seconds
        if self._facilitator.pushes:
            return wait_before_next(self._rounds_since_event)
        doubled = FIRST_POLL_SECONDS * 2 ** min(self._rounds_since_event - 1, 8)
        return float(min(doubled, LONGEST_POLL_SECONDS))

    async def _events_until_disconnect(
        self,
    ) -> AsyncGenerator[ComputeHordeJobStatusEntry | JobProgress, None]:
        """The pushed updates, until the stream ends, breaks, times out or is refused."""
        self._retry_seconds = None
        try:
            async with aclosing(self._open_stream()) as stream:
                for _ in itertools.count():
                    async with asyncio.timeout(QUIET_POLL_SECONDS):
                        entry = await anext(stream)
                    self._on_event()
                    yield entry
        except (PushUnsupportedError, ComputeHordeNotFoundError):
            # The same for every job. If the job is unknown instead, polling it shows that.
            self._facilitator.pushes = False
        except (StopAsyncIteration, TimeoutError, httpx.ReadTimeout):
            return
        except (httpx.HTTPError, ProtocolError):
            self._facilitator.report_problem(
                "the connection for status updates is lost; trying again"
            )
        except (FacilitatorUnreachable, RequestRefused) as exc:
            if isinstance(exc, RequestRefused) and exc.status_code in NO_STREAM_STATUSES:
                self._facilitator.pushes = False
            else:
                self._raise_unless_temporary(exc)
                self._follow_retry_after(exc)

    def _follow_retry_after(self, exc: FacilitatorUnreachable | RequestRefused) -> None:
        """Log that the stream was refused, and wait as long as the facilitator asks, if it does."""
        asked = exc.retry_after_seconds if isinstance(exc, RequestRefused) else None
        if asked is not None:
            # Spread, so that those who were refused together do not all come back together.
            seconds = max(SHORTEST_RETRY_SECONDS, asked) * random.uniform(1.0, 1.25)
            self._retry_seconds = min(seconds, LONGEST_RETRY_SECONDS)
        log.debug(
            "stream of status updates refused; the job is polled until it is tried again",
            extra={"job": self._uuid, "cause": str(exc), "retry_seconds": self._retry_seconds},
        )

    async def _open_stream(self) -> AsyncGenerator[ComputeHordeJobStatusEntry | JobProgress, None]:
        path = f"api/v1/jobs/{self._uuid}/events"
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if self._last_event_id is not None:
            headers["Last-Event-ID"] = self._last_event_id
        async with self._facilitator.stream(path, headers, SAFETY_POLL_SECONDS) as response:
            if not response.headers.get("Content-Type", "").startswith("text/event-stream"):
                raise PushUnsupportedError
            async with aclosing(sse.parsed(self._noted(response))) as stream:
                async for event in stream:
                    if event.name == "end":
                        return
                    entry = _entry(event) if event.name == "message" else _progress(event)
                    self._last_event_id = event.id
                    if entry is not None:
                        yield entry

    async def _noted(self, response: httpx.Response) -> AsyncGenerator[bytes, None]:
        """The pieces of a stream; each, heartbeats included, shows that there is no outage."""
        async with aclosing(decoding.pieces(response)) as pieces:
            async for piece in pieces:
                self._last_received = time.monotonic()
                yield piece

    async def _poll(self) -> Snapshot | None:
        try:
            job = await self._facilitator.get(f"api/v1/jobs/{self._uuid}/")
        except ComputeHordeNotFoundError:
            # The job does not exist; the facilitator may have streams.
            self._facilitator.pushes = True
            raise
        except (FacilitatorUnreachable, RequestRefused) as exc:
            self._raise_unless_temporary(exc)
            return None
        self._last_received = time.monotonic()
        if not isinstance(job, dict):
            raise ProtocolError("the facilitator's answer is not a job")
        return job

    def _on_event(self) -> None:
        self._last_received = time.monotonic()
        self._rounds_since_event = 0

    def _raise_unless_temporary(self, exc: FacilitatorUnreachable | RequestRefused) -> None:
        """Raise `exc` unless retrying may help; raise after `MAX_OUTAGE_SECONDS` in any case."""
        if isinstance(exc, RequestRefused) and exc.status_code < 500 and exc.status_code != 429:
            raise exc
        away = time.monotonic() - self._last_received
        if away > MAX_OUTAGE_SECONDS:
            raise FacilitatorUnreachable(
                f"no update of job {self._uuid} for {away:.0f} s ({exc}); it may still be running: "
                f"see it later with compute-horde job {self._uuid}"
            ) from exc


def _progress(event: sse.ServerSentEvent) -> JobProgress | None:
    """The progress in an event; None for unknown or malformed events."""
    if event.name != "progress":
        return None
    try:
        return progress_from(bounded_json.parsed(event.data.encode()))
    except (ValueError, RecursionError, ProtocolError):
        return None


def _entry(event: sse.ServerSentEvent) -> ComputeHordeJobStatusEntry | None:
    try:
        return entry_from(bounded_json.parsed(event.data.encode()))
    except (ValueError, RecursionError) as exc:
        raise ProtocolError("a pushed status is malformed") from exc
