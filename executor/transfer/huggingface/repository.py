"""Snapshots of Hugging Face repositories: listed by the hub's library, fetched by `HttpClient`."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO
from urllib.parse import urlsplit

from compute_horde.errors import HordeError
from compute_horde.vocabulary import HordeReason
from compute_horde.volumes import HuggingfaceVolume
from executor.config import Config
from executor.transfer.http_client import HttpClient, Reply
from executor.transfer.http_errors import NO_ACCESS, TOO_MANY_REQUESTS, RetryableError, WebError
from executor.transfer.huggingface.request import HubFile, RepoLimits, repo_request
from executor.transfer.resumable_download import Count

MAX_REQUESTS = 200
MOST_ANSWER_BYTES = 16 * 2**20
MOST_LISTING_BYTES = 64 * 2**20
ASKED_WITH = frozenset({"accept", "authorization", "user-agent"})


class Repository:
    """The repository of one volume on the configured hub."""

    def __init__(self, volume: HuggingfaceVolume, config: Config, web: HttpClient) -> None:
        own = config.hub_token.get_secret_value() if config.hub_token else None
        self._repo_request = repo_request(volume, endpoint=config.hub_url, own_token=own)
        self._host = urlsplit(config.hub_url).hostname
        self._web = web

    async def listed(self, limits: RepoLimits) -> list[HubFile]:
        """The files to fetch, all of one commit; raises `WebError` when they are over a limit."""
        bridge = _Bridge(self._web, self._repo_request.endpoint)

        def ask_library() -> list[HubFile]:
            # Imported here as it takes half a second, which only some jobs need.
            from executor.transfer.huggingface import listing

            return listing.listed(self._repo_request, bridge.ask, limits)

        with self._described_errors():
            try:
                return await asyncio.to_thread(ask_library)
            finally:
                bridge.close()

    async def fetch(self, file: HubFile, target: BinaryIO, count: Count) -> None:
        """Download one file; raises `WebError` when its size is not the listed one."""
        headers = self._repo_request.authorization
        with self._described_errors():
            try:
                await self._web.fetch(
                    file.url, target, limit=file.size, headers=headers, count=count
                )
            except WebError as exc:
                if exc.status in NO_ACCESS and not exc.is_redirected:
                    raise WebError(self._repo_request.gated()) from exc
                raise
            if target.tell() != file.size:
                sizes = f"{target.tell()} bytes and is listed with {file.size}"
                raise WebError(f"{file.path[:200]!r} came with {sizes}")

    @contextmanager
    def _described_errors(self) -> Iterator[None]:
        """Turn passing failures of the hub into `HordeError`: they are not the job's fault."""
        try:
            yield
        except RetryableError as exc:
            remedy = "; try again later" if exc.status == TOO_MANY_REQUESTS else ""
            text = f"the Hugging Face hub could not be used: {exc}{remedy}"
            raise HordeError(HordeReason.GENERIC_ERROR, text) from exc
        except WebError as exc:
            text = str(exc) if str(exc).startswith(f"{self._host}:") else f"{self._host}: {exc}"
            raise WebError(text, exc.status) from exc


class _Bridge:
    """Passes requests from the library's thread to the HTTP client, until it is closed."""

    def __init__(self, web: HttpClient, endpoint: str) -> None:
        self._web = web
        self._origin = _origin(endpoint)
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._asking: asyncio.Task[Reply] | None = None
        self._requests_left = MAX_REQUESTS
        self._bytes_left = MOST_LISTING_BYTES

    def ask(self, url: str, headers: dict[str, str]) -> Reply:
        """Send one request; called from the library's thread."""
        return asyncio.run_coroutine_threadsafe(self._asked(url, headers), self._loop).result()

    async def _asked(self, url: str, headers: dict[str, str]) -> Reply:
        if self._closed:
            raise WebError("the time is up")
        # The URL of the next page comes from the hub, so it may lead anywhere.
        if _origin(url) != self._origin:
            raise WebError("the hub sent us to another host with its answer")
        self._requests_left -= 1
        if self._requests_left < 0 or self._bytes_left <= 0:
            raise WebError("the hub's list of files is too long; choose a smaller repository")
        kept = {k: v for k, v in headers.items() if k.lower() in ASKED_WITH}
        asking = self._web.ask(
            url,
            limit=min(MOST_ANSWER_BYTES, self._bytes_left),
            headers=kept | {"Accept-Encoding": "identity"},
        )
        self._asking = asyncio.ensure_future(asking)
        reply = await self._asking
        self._bytes_left -= len(reply.body)
        return reply

    def close(self) -> None:
        """Cancel the present request and refuse further ones."""
        self._closed = True
        if self._asking is not None:
            self._asking.cancel()


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port
