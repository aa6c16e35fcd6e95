"""A job's statuses as server-sent events, resumable by the id of the last one seen."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import ExitStack

from compute_horde.django.connection_limits import connections_in_all
from compute_horde.protocol.extensions import ProgressMade
from facilitator.config import config
from facilitator.jobs import missed_statuses, store
from facilitator.jobs.client_features import ClientFeatures, status_for_client
from facilitator.jobs.rules import StatusEvent, advancing
from facilitator.jobs.status_feed import Feed, feed_registry
from facilitator.web.errors import ApiError
from facilitator.web.response_deadline import query_within_deadline

HEARTBEAT_SECONDS = 15.0
# One of so many connections may be an event stream.
STREAMS_PART = 2
# How soon a user who was refused may try again.
RETRY_SECONDS = 2

OPENING = b"retry: 500\n\n"
HEARTBEAT = b": still here\n\n"


async def open_stream(
    job_uuid: str, hotkey: str, after: int, client: ClientFeatures, *, progress: bool = False
) -> "StatusStream":
    """The statuses of a user's job after event id `after`, and with `progress` its progress.

    The feed is opened before the stored statuses are read, so none is missed; a status in both is
    sent once. Raises `ApiError` (404, 429 or 503).
    """
    in_all = _check_room(hotkey)
    with ExitStack() as undo:
        feed = feed_registry.open(job_uuid, hotkey)
        undo.callback(feed_registry.close, feed)
        found = await query_within_deadline(store.own_statuses, job_uuid, hotkey)
        if found is None:
            raise ApiError(404, {"detail": "Not found."})
        # Not before: whoever asks for a job that is not theirs cuts nobody's stream.
        feed_registry.cut_surplus(in_all)
        validator, stored = found
        statuses = advancing(stored)
        seen = [status for status in statuses if status.id <= after]
        feed.put_first(statuses[len(seen) :])
        feed.latest_id = max(feed.latest_id, max(status.id for status in stored))
        if progress:
            feed_registry.subscribe_progress(feed, validator)
        undo.pop_all()
    return StatusStream(feed, seen[-1] if seen else None, client)


def _check_room(hotkey: str) -> int:
    """How many streams there may be in all.

    Raises:
        ApiError: 429, this hotkey or all together have too many streams.
    """
    connections = connections_in_all(config.max_connections)
    per_hotkey, in_all = config.max_streams, max(1, connections // STREAMS_PART)
    if feed_registry.has_room(hotkey, per_hotkey=per_hotkey, in_all=in_all):
        return in_all
    text = f"at most {per_hotkey} event streams at once, and {in_all} of all users together"
    raise ApiError(
        429,
        {"error": "Too many streams", "details": f"{text}; close some or poll"},
        headers={"Retry-After": str(RETRY_SECONDS)},
    )


class StatusStream:
    """Response body of an event stream; Django closes it when the client disconnects.

    What waits for a slow client is in the feed, where it is counted, and nowhere else.
    """

    def __init__(self, feed: Feed, seen: StatusEvent | None, client: ClientFeatures) -> None:
        self._feed, self._client = feed, client
        # The last status sent, without its metadata.
        self._last = seen and _without_metadata(seen)
        self._loop = asyncio.get_running_loop()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield OPENING
        while self._last is None or not self._last.is_end:
            if not await self._hold_next():
                return
            while piece := self._feed.piece():
                yield piece
        if not self._feed.is_cut:
            yield end_event(status_for_client(self._client, self._last))

    async def _hold_next(self) -> bool:
        """Hold the next event, or a heartbeat, in the feed; False at the end of the feed."""
        try:
            update = await self._feed.next(within_seconds=HEARTBEAT_SECONDS)
        except TimeoutError:
            missed_statuses.look_for(self._feed)
            self._feed.hold(HEARTBEAT)
            return True
        if update is None:
            return False
        self._feed.hold(self._encoded(update))
        return True

    def _encoded(self, update: StatusEvent | ProgressMade) -> bytes:
        if isinstance(update, ProgressMade):
            return progress_event(update)
        if self._last and update.rank <= self._last.rank:
            return HEARTBEAT
        self._last = _without_metadata(update)
        return status_event(status_for_client(self._client, update))

    def close(self) -> None:
        """Unregister the feed; Django calls this from another thread."""
        self._loop.call_soon_threadsafe(feed_registry.close, self._feed)


def _without_metadata(event: StatusEvent) -> StatusEvent:
    return event._replace(report=event.report.model_copy(update={"metadata": None}))


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
