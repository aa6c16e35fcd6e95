"""A job's statuses as server-sent events, resumable by the id of the last one seen."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, suppress

from compute_horde.protocol.extensions import ProgressMade
from facilitator.config import config
from facilitator.jobs import store
from facilitator.jobs.client_features import ClientFeatures, status_for_client
from facilitator.jobs.rules import StatusEvent, advancing
from facilitator.jobs.status_feed import Feed, feed_registry
from facilitator.web.errors import ApiError
from facilitator.web.response_deadline import query_within_deadline

HEARTBEAT_SECONDS = 15.0

OPENING = b"retry: 500\n\n"
HEARTBEAT = b": still here\n\n"


async def open_stream(
    job_uuid: str, hotkey: str, after: int, client: ClientFeatures, *, progress: bool = False
) -> "StatusStream":
    """The statuses of a user's job after event id `after`, and with `progress` its progress.

    The feed is opened before the stored statuses are read, so none is missed; a status in both is
    sent once. Raises `ApiError` (404, 429 or 503).
    """
    if feed_registry.count(hotkey) >= config.max_streams:
        text = f"at most {config.max_streams} event streams at once; close some or poll"
        raise ApiError(429, {"error": "Too many streams", "details": text})
    with ExitStack() as undo:
        feed = feed_registry.open(job_uuid, hotkey)
        undo.callback(feed_registry.close, feed)
        found = await query_within_deadline(store.own_statuses, job_uuid, hotkey)
        if found is None:
            raise ApiError(404, {"detail": "Not found."})
        validator, stored = found
        if progress:
            feed_registry.subscribe_progress(feed, validator)
        undo.pop_all()
    return StatusStream(feed, advancing(stored), after, client)


class StatusStream:
    """Response body of an event stream; Django closes it when the client disconnects."""

    def __init__(
        self, feed: Feed, statuses: Sequence[StatusEvent], after: int, client: ClientFeatures
    ) -> None:
        self._feed, self._statuses, self._after, self._client = feed, statuses, after, client
        self._loop = asyncio.get_running_loop()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield OPENING
        for status in self._statuses:
            if status.id > self._after:
                yield status_event(status_for_client(self._client, status))
        last = self._statuses[-1]
        while not last.is_end:
            update = await self._next_events()
            if update is None:
                return
            if isinstance(update, ProgressMade):
                yield progress_event(update)
                continue
            statuses = [status for status in advancing(update) if status.rank > last.rank]
            for status in statuses:
                yield status_event(status_for_client(self._client, status))
            last = statuses[-1] if statuses else last
            if not statuses:
                yield HEARTBEAT
        yield end_event(status_for_client(self._client, last))

    async def _next_events(self) -> list[StatusEvent] | ProgressMade | None:
        """New statuses or progress; after `HEARTBEAT_SECONDS` without any, all stored statuses."""
        try:
            update = await self._feed.next(within_seconds=HEARTBEAT_SECONDS)
        except TimeoutError:
            with suppress(ApiError):
                found = await query_within_deadline(
                    store.own_statuses, self._feed.job_uuid, self._feed.hotkey
                )
                return found[1] if found else None
            return []
        return [update] if isinstance(update, StatusEvent) else update

    def close(self) -> None:
        """Unregister the feed; Django calls this from another thread."""
        self._loop.call_soon_threadsafe(feed_registry.close, self._feed)


def status_event(event: StatusEvent) -> bytes:
    """One status as a server-sent event."""
    return f"id: {event.id}\ndata: {json.dumps(event.entry())}\n\n".encode()


def progress_event(report: ProgressMade) -> bytes:
    """Progress of a stage, as an event without an id: a stream cannot be resumed at it."""
    data = report.model_dump(mode="json", include={"stage", "what", "done_bytes", "total_bytes"})
    return f"event: progress\ndata: {json.dumps(data)}\n\n".encode()


def end_event(last: StatusEvent) -> bytes:
    """The closing event, after the final status."""
    return f"event: end\ndata: {json.dumps({'status': last.report.status})}\n\n".encode()
