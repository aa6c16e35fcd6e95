"""The ASGI applications: websockets and public HTTP on one port, the admin site on another."""

import re
from typing import Any, cast

import django
from asgiref.typing import WebSocketScope
from channels.consumer import AsyncConsumer
from django.core.handlers.asgi import ASGIHandler

django.setup(set_prefix=False)

from compute_horde.django.static_files import StaticFilesHandler  # noqa: E402
from miner.jobs.executor_consumer import ExecutorConsumer  # noqa: E402
from miner.jobs.validator_consumer import ValidatorConsumer  # noqa: E402
from miner.wiring import Miner  # noqa: E402

ROUTES: tuple[tuple[re.Pattern[str], type[AsyncConsumer]], ...] = (
    (re.compile(r"/v0\.1/validator_interface/(?P<hotkey>[A-Za-z0-9]{1,64})/?"), ValidatorConsumer),
    (re.compile(r"/v0\.1/executor_interface/(?P<token>[A-Za-z0-9_-]{1,128})/?"), ExecutorConsumer),
)

# The only HTTP paths of the public port; all others are served on the admin port.
PUBLIC = ("/health", "/version", "/receipts/")


class Application:
    """The application of the public port."""

    def __init__(self, miner: Miner) -> None:
        self._miner = miner
        self._http = ASGIHandler()
        self._sockets = [(path, consumer.as_asgi(miner=miner)) for path, consumer in ROUTES]

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Serve one connection, or the lifespan events of the process."""
        match scope["type"]:
            case "http" if scope["path"].startswith(PUBLIC):
                await self._http(scope | {"miner": self._miner}, receive, send)
            case "http":
                await send({"type": "http.response.start", "status": 404, "headers": []})
                await send({"type": "http.response.body", "body": b"Not found"})
            case "websocket":
                await self._route_websocket(scope, receive, send)
            case "lifespan":
                await self._run_lifespan(receive, send)

    async def _route_websocket(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        for path, consumer in self._sockets:
            if found := path.fullmatch(scope["path"]):
                scope["url_route"] = {"kwargs": found.groupdict()}
                await consumer(cast("WebSocketScope", scope), receive, send)
                return
        await send({"type": "websocket.close"})

    async def _run_lifespan(self, receive: Any, send: Any) -> None:
        await receive()
        await self._miner.open()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._miner.close()
        await send({"type": "lifespan.shutdown.complete"})


class AdminApplication:
    """The application of the admin port."""

    def __init__(self, miner: Miner) -> None:
        self._miner = miner
        self._http = StaticFilesHandler(ASGIHandler())

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Serve one HTTP connection; a websocket is closed."""
        if scope["type"] == "http":
            await self._http(scope | {"miner": self._miner}, receive, send)
        else:
            await send({"type": "websocket.close"})
