"""A registry of one image on the loopback address, from which the engine pulls it.

The engine connects to nothing else: `RegistryClient` handles names, redirects and tokens of the
real registry, and a layer is only served to its end once its digest and sizes are checked.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

from aiohttp import web

from executor.images.manifests import Blob, ImageManifest
from executor.images.registry_client import RegistryClient
from executor.images.unpacked_size import ImageQuota, LayerCount

log = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
# Prefix of the repositories of these servers, by which leftovers of pulls are recognized.
PREFIX = "compute-horde-pull"
# 0 would mean to wait for ever.
SHUTDOWN_SECONDS = 0.1


class PullServer:
    """Serves one manifest and its blobs to clients that know the name of its `repository`."""

    def __init__(
        self,
        client: RegistryClient,
        manifest: ImageManifest,
        config: bytes,
        *,
        repository: str,
        quota: ImageQuota,
    ) -> None:
        self._client = client
        self._manifest = manifest
        self._config = config
        self._quota = quota
        self._repository = repository
        self._port = 0
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def image(self) -> str:
        """The image's name for the engine."""
        return f"{LOOPBACK}:{self._port}/{self._repository}@{self._manifest.digest}"

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Listen on a free port; `failed` gets an exception when a layer must not be used."""
        app = web.Application()
        app.router.add_get("/v2/", self._version)
        app.router.add_get("/v2/{repository:.+}/manifests/{digest}", self._manifests)
        app.router.add_get("/v2/{repository:.+}/blobs/{digest}", self._blobs)
        # Stop sending a layer when the engine disconnects, and soon when the server stops.
        runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=SHUTDOWN_SECONDS
        )
        await runner.setup()
        try:
            site = web.TCPSite(runner, LOOPBACK, 0)
            await site.start()
            self._port = runner.addresses[0][1]
            yield
        finally:
            await runner.cleanup()
            if self.failed.done() and not self.failed.cancelled():
                self.failed.exception()

    async def _version(self, _: web.Request) -> web.Response:
        headers = {"Docker-Distribution-Api-Version": "registry/2.0"}
        return web.json_response({}, headers=headers)

    async def _manifests(self, request: web.Request) -> web.Response:
        manifest = self._manifest
        if not self._is_ours(request) or request.match_info["digest"] != manifest.digest:
            raise web.HTTPNotFound
        headers = {"Docker-Content-Digest": manifest.digest, "Content-Type": manifest.media_type}
        return web.Response(body=manifest.body, headers=headers)

    async def _blobs(self, request: web.Request) -> web.StreamResponse:
        blob = self._manifest.blob(request.match_info["digest"])
        if not self._is_ours(request) or blob is None:
            raise web.HTTPNotFound
        if blob == self._manifest.config:
            return web.Response(body=self._config, content_type="application/octet-stream")
        response = web.StreamResponse(headers={"Content-Type": "application/octet-stream"})
        response.content_length = blob.size
        await response.prepare(request)
        if request.method == "GET":
            await self._stream(blob, response, request)
        return response

    async def _stream(self, blob: Blob, response: web.StreamResponse, request: web.Request) -> None:
        """Send a layer; the last piece only once the whole layer has passed its checks."""
        try:
            async with aclosing(self._checked(blob)) as pieces:
                async for piece in pieces:
                    await response.write(piece)
        except ConnectionError:
            log.info("the engine stopped reading a layer", extra={"layer": blob.digest})
        except Exception as exc:  # noqa: BLE001 - raised where the pull is awaited
            if not self.failed.done():
                self.failed.set_exception(exc)
            if request.transport is not None:
                request.transport.abort()

    async def _checked(self, blob: Blob) -> AsyncGenerator[bytes, None]:
        count, held = LayerCount(blob, self._quota), b""
        async with aclosing(self._client.layer(blob)) as pieces:
            async for piece in pieces:
                await asyncio.to_thread(count.feed, piece)
                if held:
                    yield held
                held = piece
        count.finish()
        yield held

    def _is_ours(self, request: web.Request) -> bool:
        return request.match_info["repository"] == self._repository
