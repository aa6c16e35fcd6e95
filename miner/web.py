"""The miner's server process."""

import asyncio
from types import FrameType

import uvicorn

from compute_horde.adapters.wallet import load_hotkey
from compute_horde.django.wary import WaryProtocol
from compute_horde.frames import MAX_FRAME_BYTES
from miner.asgi import Application
from miner.assembly import Miner
from miner.config import Config

PING_SECONDS = 20.0
PONG_SECONDS = 120.0


class Server(uvicorn.Server):
    """Lets jobs end in order before any socket is closed."""

    def __init__(self, config: uvicorn.Config, miner: Miner) -> None:
        super().__init__(config)
        self._miner = miner
        self._draining: asyncio.Task[None] | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A first signal drains; a second one does not wait."""
        if self._draining or not self.started:
            super().handle_exit(sig, frame)
            return
        loop = asyncio.get_running_loop()
        self._draining = loop.create_task(self._drain())

    async def _drain(self) -> None:
        await self._miner.drain()
        self.should_exit = True


def serve(config: Config) -> None:
    """Run until told to stop."""
    miner = Miner(config, load_hotkey(config.hotkey_file))
    options = uvicorn.Config(
        Application(miner),
        host=config.host,
        port=config.port,
        loop="uvloop",
        ws=WaryProtocol,
        ws_max_size=MAX_FRAME_BYTES,
        ws_per_message_deflate=False,
        ws_ping_interval=PING_SECONDS,
        ws_ping_timeout=PONG_SECONDS,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
    )
    Server(options, miner).run()
