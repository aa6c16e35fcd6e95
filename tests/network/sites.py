"""A web server on loopback: files, and registries: empty, overrun, and one that never answers."""

import asyncio

from aiohttp import web
from aiohttp.test_utils import TestServer

MANIFEST_UNKNOWN = {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}
TOO_MANY_REQUESTS = {"errors": [{"code": "TOOMANYREQUESTS", "message": "pull rate limit"}]}


class Site:
    """Serves `files` by path; `/v2/` is an image registry; everything below `stalled/` hangs.

    Below `overrun/` the registry has had too many requests.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self._closing = asyncio.Event()
        app = web.Application(client_max_size=2**30)
        app.router.add_get("/v2/", self._registry)
        app.router.add_route("*", "/v2/stalled/{name:.*}", self._stall)
        app.router.add_route("*", "/v2/overrun/{name:.*}", self._overrun)
        app.router.add_route("*", "/v2/{name:.*}", self._no_image)
        app.router.add_route("*", "/stalled/{name:.*}", self._stall)
        app.router.add_get("/{name:.*}", self._file)
        self._server = TestServer(app, host="127.0.0.1")

    async def __aenter__(self) -> "Site":
        await self._server.start_server()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closing.set()
        await self._server.close()

    @property
    def registry(self) -> str:
        """What stands before the name of an image here."""
        return f"127.0.0.1:{self._server.port}"

    def __truediv__(self, name: str) -> str:
        return f"http://{self.registry}/{name}"

    async def _file(self, request: web.Request) -> web.Response:
        return web.Response(body=self.files[request.match_info["name"]])

    async def _registry(self, request: web.Request) -> web.Response:
        return web.json_response({}, headers={"Docker-Distribution-Api-Version": "registry/2.0"})

    async def _no_image(self, request: web.Request) -> web.Response:
        return web.json_response(MANIFEST_UNKNOWN, status=404)

    async def _overrun(self, request: web.Request) -> web.Response:
        return web.json_response(TOO_MANY_REQUESTS, status=429)

    async def _stall(self, request: web.Request) -> web.Response:
        """Start an answer of which nothing comes."""
        await self._closing.wait()
        return web.Response(status=503)
