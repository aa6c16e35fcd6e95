"""A job's statuses as server-sent events, resumable by the number of the last one seen."""

import json
from collections.abc import AsyncGenerator

from django.conf import settings

from facilitator import actions
from facilitator.news import Feed, desk
from facilitator.patience import promptly
from facilitator.refusal import Refusal
from facilitator.rules import Told, moves

HEARTBEAT_SECONDS = 15.0

OPENING = b"retry: 500\n\n"
HEARTBEAT = b": still here\n\n"


async def stream(job_uuid: str, hotkey: str, after: int) -> AsyncGenerator[bytes, None]:
    """Chunks of the event stream; the first comes when the job was found.

    The feed is opened before the stored statuses are read, so none falls between; one that is in
    both is told once.
    """
    feed = _open(job_uuid, hotkey)
    try:
        stored = await promptly(actions.own_statuses, job_uuid, hotkey)
        if stored is None:
            raise Refusal(404, {"detail": "Not found."})
        yield OPENING
        steps = moves(stored)
        for step in steps:
            if step.id > after:
                yield event(step)
        last = steps[-1]
        while not last.is_end:
            told = await _next(feed)
            if told is None:
                yield HEARTBEAT
            elif told.rank > last.rank:
                yield event(last := told)
        yield end(last)
    except StopReading:
        return
    finally:
        desk.close(feed)


def _open(job_uuid: str, hotkey: str) -> Feed:
    if desk.readers(hotkey) >= settings.MAX_STREAMS:
        text = f"at most {settings.MAX_STREAMS} event streams at once; close some or poll"
        raise Refusal(429, {"error": "Too many streams", "details": text})
    return desk.open(job_uuid, hotkey)


class StopReading(Exception):
    """This process ends; the reader resumes with the next one."""


async def _next(feed: Feed) -> Told | None:
    """The next status, or None when it is time for a sign of life."""
    try:
        told = await feed.next(within_seconds=HEARTBEAT_SECONDS)
    except TimeoutError:
        return None
    if told is None:
        raise StopReading
    return told


def event(told: Told) -> bytes:
    """One status as an event."""
    return f"id: {told.id}\ndata: {json.dumps(told.entry())}\n\n".encode()


def end(last: Told) -> bytes:
    """The event after the last status."""
    return f"event: end\ndata: {json.dumps({'status': last.report.status})}\n\n".encode()
