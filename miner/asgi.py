"""Where each connection goes: two kinds of websocket, the rest to Django."""

import re
from typing import Any

import django
from channels.consumer import AsyncConsumer
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.handlers.asgi import ASGIHandler

django.setup(set_prefix=False)

from miner.assembly import Miner  # noqa: E402
from miner.jobs.executor_consumer import ExecutorConsumer  # noqa: E402
from miner.jobs.validator_consumer import ValidatorConsumer  # noqa: E402

ROUTES: tuple[tuple[re.Pattern[str], type[AsyncConsumer]], ...] = (
    (re.compile(r"/v0\.1/validator_interface/(?P<hotkey>[A-Za-z0-9]{1,64})/?"), ValidatorConsumer),
    (re.compile(r"/v0\.1/executor_interface/(?P<token>[A-Za-z0-9_-]{1,128})/?"), ExecutorConsumer),
)


class Application:
    """One miner behind one port."""

    def __init__(self, miner: Miner) -> None:
        self._miner = miner
        self._http = ASGIStaticFilesHandler(ASGIHandler())
        self._sockets = [(path, consumer.as_asgi(miner=miner)) for path, consumer in ROUTES]

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """One connection, or the life of the process."""
        match scope["type"]:
            case "http":
                await self._http(scope | {"miner": self._miner}, receive, send)
            case "websocket":
                await self._socket(scope, receive, send)
            case "lifespan":
                await self._live(receive, send)

    async def _socket(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        for path, consumer in self._sockets:
            if found := path.fullmatch(scope["path"]):
                scope["url_route"] = {"kwargs": found.groupdict()}
                await consumer(scope, receive, send)
                return
        await send({"type": "websocket.close"})

    async def _live(self, receive: Any, send: Any) -> None:
        await receive()
        await self._miner.open()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._miner.close()
        await send({"type": "lifespan.shutdown.complete"})
