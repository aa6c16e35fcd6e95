"""A job's statuses as server-sent events, resumable by the number of the last one seen."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, suppress

from django.conf import settings

from compute_horde.protocol.extensions import ProgressMade
from facilitator import actions
from facilitator.clients import Client, in_words_of
from facilitator.news import Feed, desk
from facilitator.patience import promptly
from facilitator.refusal import Refusal
from facilitator.rules import Told, moves

HEARTBEAT_SECONDS = 15.0

OPENING = b"retry: 500\n\n"
HEARTBEAT = b": still here\n\n"


async def listen(
    job_uuid: str, hotkey: str, after: int, client: Client, *, progress: bool = False
) -> "Stream":
    """The statuses of a user's job that come after event `after`, and maybe its progress.

    The feed is opened before the stored statuses are read, so none falls between; one that is in
    both is told once.
    """
    if desk.readers(hotkey) >= settings.MAX_STREAMS:
        text = f"at most {settings.MAX_STREAMS} event streams at once; close some or poll"
        raise Refusal(429, {"error": "Too many streams", "details": text})
    with ExitStack() as undo:
        feed = desk.open(job_uuid, hotkey)
        undo.callback(desk.close, feed)
        stored = await promptly(actions.own_statuses, job_uuid, hotkey)
        if stored is None:
            raise Refusal(404, {"detail": "Not found."})
        if progress and (validator := await promptly(actions.validator_of, job_uuid, hotkey)):
            desk.follow(feed, validator)
        undo.pop_all()
    return Stream(feed, moves(stored), after, client)


class Stream:
    """What Django sends chunk by chunk, and closes when the client is gone."""

    def __init__(self, feed: Feed, steps: Sequence[Told], after: int, client: Client) -> None:
        self._feed, self._steps, self._after, self._client = feed, steps, after, client
        self._loop = asyncio.get_running_loop()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield OPENING
        for step in self._steps:
            if step.id > self._after:
                yield event(in_words_of(self._client, step))
        last = self._steps[-1]
        while not last.is_end:
            told = await self._news()
            if told is None:
                return
            if isinstance(told, ProgressMade):
                yield progress(told)
                continue
            steps = [step for step in moves(told) if step.rank > last.rank]
            for step in steps:
                yield event(in_words_of(self._client, step))
            last = steps[-1] if steps else last
            if not steps:
                yield HEARTBEAT
        yield end(in_words_of(self._client, last))

    async def _news(self) -> list[Told] | ProgressMade | None:
        """The next news; after a long silence all statuses, lest one was lost on its way here."""
        try:
            told = await self._feed.next(within_seconds=HEARTBEAT_SECONDS)
        except TimeoutError:
            with suppress(Refusal):
                return await promptly(actions.own_statuses, self._feed.job_uuid, self._feed.hotkey)
            return []
        return [told] if isinstance(told, Told) else told

    def close(self) -> None:
        """Forget the feed; Django calls this from another thread."""
        self._loop.call_soon_threadsafe(desk.close, self._feed)


def event(told: Told) -> bytes:
    """One status as an event."""
    return f"id: {told.id}\ndata: {json.dumps(told.entry())}\n\n".encode()


def progress(made: ProgressMade) -> bytes:
    """How far a stage is, as an event without a number: nobody need come back to it."""
    told = made.model_dump(mode="json", include={"stage", "what", "done_bytes", "total_bytes"})
    return f"event: progress\ndata: {json.dumps(told)}\n\n".encode()


def end(last: Told) -> bytes:
    """The event after the last status."""
    return f"event: end\ndata: {json.dumps({'status': last.report.status})}\n\n".encode()
