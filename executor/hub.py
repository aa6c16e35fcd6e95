"""Snapshots of Hugging Face repositories: listed by its library, fetched by our own client."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO
from urllib.parse import urlsplit

from compute_horde.errors import HordeError
from compute_horde.vocabulary import HordeReason
from compute_horde.volumes import HuggingfaceVolume
from executor.config import Config
from executor.refusals import NO_ACCESS, TOO_MANY_REQUESTS, PassingError, WebError
from executor.resuming import Count
from executor.wanted import HubFile, Limits, wanted
from executor.web import Reply, Web

MOST_QUESTIONS = 200
MOST_ANSWER_BYTES = 16 * 2**20
MOST_LISTING_BYTES = 64 * 2**20
ASKED_WITH = frozenset({"accept", "authorization", "user-agent"})


class Hub:
    """What one volume wants of the configured hub."""

    def __init__(self, volume: HuggingfaceVolume, config: Config, web: Web) -> None:
        own = config.hub_token.get_secret_value() if config.hub_token else None
        self._wanted = wanted(volume, endpoint=config.hub_url, own_token=own)
        self._host = urlsplit(config.hub_url).hostname
        self._web = web

    async def listed(self, limits: Limits) -> list[HubFile]:
        """What to fetch, all of one commit; `WebError` when it is over a limit."""
        bridge = _Bridge(self._web, self._wanted.endpoint)

        def ask_library() -> list[HubFile]:
            # Half a second of imports, for the jobs that need them.
            from executor import hublib

            return hublib.listed(self._wanted, bridge.ask, limits)

        with self._blamed():
            try:
                return await asyncio.to_thread(ask_library)
            finally:
                bridge.close()

    async def fetch(self, file: HubFile, target: BinaryIO, count: Count) -> None:
        """One file, whole."""
        headers = self._wanted.authorization
        with self._blamed():
            try:
                await self._web.fetch(
                    file.url, target, limit=file.size, headers=headers, count=count
                )
            except WebError as exc:
                if exc.status in NO_ACCESS:
                    raise WebError(self._wanted.gated()) from exc
                raise
            if target.tell() != file.size:
                sizes = f"{target.tell()} bytes and is listed with {file.size}"
                raise WebError(f"{file.path[:200]!r} came with {sizes}")

    @contextmanager
    def _blamed(self) -> Iterator[None]:
        """A hub in trouble, or that is asked too often, is no fault of the job."""
        try:
            yield
        except PassingError as exc:
            remedy = "; try again later" if exc.status == TOO_MANY_REQUESTS else ""
            text = f"the Hugging Face hub could not be used: {exc}{remedy}"
            raise HordeError(HordeReason.GENERIC_ERROR, text) from exc
        except WebError as exc:
            told = str(exc) if str(exc).startswith(f"{self._host}:") else f"{self._host}: {exc}"
            raise WebError(told, exc.status) from exc


class _Bridge:
    """From the library's thread to our client, until it is closed: then nothing goes on."""

    def __init__(self, web: Web, endpoint: str) -> None:
        self._web = web
        self._origin = _origin(endpoint)
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._asking: asyncio.Task[Reply] | None = None
        self._questions = MOST_QUESTIONS
        self._bytes = MOST_LISTING_BYTES

    def ask(self, url: str, headers: dict[str, str]) -> Reply:
        """One question, asked from the thread."""
        return asyncio.run_coroutine_threadsafe(self._asked(url, headers), self._loop).result()

    async def _asked(self, url: str, headers: dict[str, str]) -> Reply:
        if self._closed:
            raise WebError("the time is up")
        # What the library is told to ask next comes from the hub, and so may be anybody's.
        if _origin(url) != self._origin:
            raise WebError("the hub sent us to another host with its answer")
        self._questions -= 1
        if self._questions < 0 or self._bytes <= 0:
            raise WebError("the hub's list of files is too long; choose a smaller repository")
        kept = {k: v for k, v in headers.items() if k.lower() in ASKED_WITH}
        asking = self._web.ask(
            url,
            limit=min(MOST_ANSWER_BYTES, self._bytes),
            headers=kept | {"Accept-Encoding": "identity"},
        )
        self._asking = asyncio.ensure_future(asking)
        reply = await self._asking
        self._bytes -= len(reply.body)
        return reply

    def close(self) -> None:
        """Whatever is asked ends now, and nothing more is asked."""
        self._closed = True
        if self._asking is not None:
            self._asking.cancel()


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port
