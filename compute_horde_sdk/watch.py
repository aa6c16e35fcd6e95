"""News of one job: pushed where the facilitator can, polled where it cannot (protocol §3.7)."""

import asyncio
import itertools
import json
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import httpx

from compute_horde.errors import ProtocolError
from compute_horde_sdk import events
from compute_horde_sdk.errors import (
    ComputeHordeNotFoundError,
    FacilitatorUnreachable,
    RequestRefused,
)
from compute_horde_sdk.http import Facilitator, wait_before_next
from compute_horde_sdk.statuses import (
    ComputeHordeJobStatusEntry,
    JobProgress,
    entry_from,
    progress_from,
)

# However lively the stream is, this often the job itself is looked at.
SAFETY_POLL_SECONDS = 30.0
FIRST_POLL_SECONDS = 0.5
LONGEST_POLL_SECONDS = 3.0
# How long a facilitator may be away before a wait gives up.
PATIENCE_SECONDS = 120.0
NO_STREAM_HERE = frozenset({405, 406, 410, 501})

Snapshot = dict[str, Any]


class PushImpossible(Exception):
    """This facilitator has no event stream."""


class Watch:
    """Watches one job until nobody asks any more."""

    def __init__(self, facilitator: Facilitator, uuid: str) -> None:
        self._facilitator = facilitator
        self._uuid = uuid
        self._last_event_id: str | None = None
        self._last_heard = time.monotonic()
        self._quiet_rounds = 0

    async def news(
        self,
    ) -> AsyncGenerator[ComputeHordeJobStatusEntry | JobProgress | Snapshot, None]:
        """Single statuses and progress as pushed, and the whole job whenever it was looked at."""
        while True:
            if self._facilitator.pushes:
                async with aclosing(self._until_broken()) as pushed:
                    async for entry in pushed:
                        yield entry
            job = await self._looked_at()
            if job is not None:
                yield job
            self._quiet_rounds += 1
            await asyncio.sleep(self._pause())

    def _pause(self) -> float:
        if self._facilitator.pushes:
            return wait_before_next(self._quiet_rounds)
        doubled = FIRST_POLL_SECONDS * 2 ** min(self._quiet_rounds - 1, 8)
        return float(min(doubled, LONGEST_POLL_SECONDS))

    async def _until_broken(
        self,
    ) -> AsyncGenerator[ComputeHordeJobStatusEntry | JobProgress, None]:
        """What is pushed, until the stream ends, breaks, falls silent or proves impossible."""
        try:
            async with aclosing(self._pushed()) as stream:
                for _ in itertools.count():
                    async with asyncio.timeout(SAFETY_POLL_SECONDS):
                        entry = await anext(stream)
                    self._heard()
                    yield entry
        except (PushImpossible, ComputeHordeNotFoundError):
            # Remembered: it is the same for every job. An unknown job is told by looking at it.
            self._facilitator.pushes = False
        except (StopAsyncIteration, TimeoutError, httpx.HTTPError, ProtocolError):
            return
        except (FacilitatorUnreachable, RequestRefused) as exc:
            if isinstance(exc, RequestRefused) and exc.status_code in NO_STREAM_HERE:
                self._facilitator.pushes = False
            else:
                self._give_up_or_go_on(exc)

    async def _pushed(self) -> AsyncGenerator[ComputeHordeJobStatusEntry | JobProgress, None]:
        path = f"api/v1/jobs/{self._uuid}/events"
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if self._last_event_id is not None:
            headers["Last-Event-ID"] = self._last_event_id
        async with self._facilitator.stream(path, headers, SAFETY_POLL_SECONDS) as response:
            if not response.headers.get("Content-Type", "").startswith("text/event-stream"):
                raise PushImpossible
            async with aclosing(events.parsed(response.aiter_bytes())) as stream:
                async for event in stream:
                    if event.name == "end":
                        return
                    entry = _entry(event) if event.name == "message" else _progress(event)
                    self._last_event_id = event.id
                    if entry is not None:
                        yield entry

    async def _looked_at(self) -> Snapshot | None:
        try:
            job = await self._facilitator.get(f"api/v1/jobs/{self._uuid}/")
        except ComputeHordeNotFoundError:
            # The job was unknown, not the stream.
            self._facilitator.pushes = True
            raise
        except (FacilitatorUnreachable, RequestRefused) as exc:
            self._give_up_or_go_on(exc)
            return None
        self._last_heard = time.monotonic()
        if not isinstance(job, dict):
            raise ProtocolError("the facilitator's answer is not a job")
        return job

    def _heard(self) -> None:
        self._last_heard = time.monotonic()
        self._quiet_rounds = 0

    def _give_up_or_go_on(self, exc: FacilitatorUnreachable | RequestRefused) -> None:
        """Raise `exc` unless the facilitator is likely to come back."""
        if isinstance(exc, RequestRefused) and exc.status_code < 500 and exc.status_code != 429:
            raise exc
        away = time.monotonic() - self._last_heard
        if away > PATIENCE_SECONDS:
            raise FacilitatorUnreachable(
                f"nothing heard of job {self._uuid} for {away:.0f} s ({exc}); it may still go on: "
                f"look later with compute-horde job {self._uuid}"
            ) from exc


def _progress(event: events.Event) -> JobProgress | None:
    """News of the moment; events that we do not know are none."""
    if event.name != "progress":
        return None
    try:
        return progress_from(json.loads(event.data))
    except (ValueError, RecursionError):
        return None


def _entry(event: events.Event) -> ComputeHordeJobStatusEntry | None:
    try:
        return entry_from(json.loads(event.data))
    except (ValueError, RecursionError) as exc:
        raise ProtocolError("a pushed status is malformed") from exc
