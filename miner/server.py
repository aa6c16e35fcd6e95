"""The miner's web server: the public port, and the admin port in the same process."""

import asyncio
import socket
from collections.abc import Callable, Sequence
from functools import partial
from types import FrameType
from typing import Any, cast

import uvicorn
import uvloop

from compute_horde import startup
from compute_horde.django.connection_limits import ConnectionLimits
from compute_horde.django.guarded_http import BodyRule, BodyRules, Headers, HttpGuard
from compute_horde.django.guarded_websocket import LimitedWebSocketProtocol
from compute_horde.django.needs import ListenAddress
from compute_horde.django.reporting_server import LEFT_BEHIND
from compute_horde.django.single_instance import run_exclusively
from compute_horde.frames import MAX_FRAME_BYTES
from compute_horde.platform.forced_exit import SERVER_STOP_SECONDS, exit_within
from miner.asgi import AdminApplication, Application
from miner.config import Config
from miner.hotkeys.served import load_hotkeys
from miner.wiring import Miner

LOCK = "miner web"
PING_SECONDS = 20.0
PONG_SECONDS = 120.0
ADMIN_BYTES = 2**18
PUBLIC_BYTES = 2**10
# Shares of all connections that are reserved for validators that logged in before, and for this
# miner's executors.
PEERS_PART, OWN_PART = 1 / 4, 1 / 8


class AdminSite:
    """The listener of the admin port, in the same process as the miner."""

    def __init__(self, options: uvicorn.Config, listener: ListenAddress) -> None:
        self.address = listener.address
        self._options, self._sockets = options, listener.sockets

    async def listen(self, server: uvicorn.Server) -> list[asyncio.Server]:
        """Open the listeners; `server` closes them with its own when it stops."""
        options, loop = self._options, asyncio.get_running_loop()
        options.load()
        protocol_class = cast("Callable[..., asyncio.Protocol]", options.http_protocol_class)

        def protocol() -> asyncio.Protocol:
            return protocol_class(config=options, server_state=server.server_state, app_state={})

        return [await loop.create_server(protocol, sock=one) for one in self._sockets]


class MinerServer(uvicorn.Server):
    """Drains the miner before it closes connections; also serves the admin port."""

    def __init__(
        self, config: uvicorn.Config, miner: Miner, address: str, admin: AdminSite
    ) -> None:
        super().__init__(config)
        self._miner, self._address, self._admin = miner, address, admin
        self._draining: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.started:
            return
        self.servers += await self._admin.listen(self)
        counts = self._miner.pool.manager.manifest()
        startup.ready(
            listens=self._address,
            admin=self._admin.address,
            hotkey=" ".join(one.ss58_address for one in self._miner.served),
            executors={str(kind): count for kind, count in counts.items()},
            manager=self._miner.config.executor_manager,
        )

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain the miner at the first signal; stop at once at the second.

        It ends in time also while the database does not answer.
        """
        if not self._draining and not self.should_exit:
            exit_within(SERVER_STOP_SECONDS, LEFT_BEHIND)
        if self._draining or not self.started:
            super().handle_exit(sig, frame)
            return
        loop = asyncio.get_running_loop()
        self._draining = loop.create_task(self._drain())

    async def _drain(self) -> None:
        await self._miner.drain()
        self.should_exit = True


def public_rule(method: bytes, target: bytes, headers: Headers) -> BodyRule:
    """The largest request body of the public port, where no request needs one."""
    return BodyRule(PUBLIC_BYTES)


def admin_rule(method: bytes, target: bytes, headers: Headers) -> BodyRule:
    """The largest request body of the admin port, for its forms."""
    return BodyRule(ADMIN_BYTES)


def serve(
    config: Config, listeners: Sequence[ListenAddress], admin_listener: ListenAddress
) -> None:
    """Serve until SIGTERM or Ctrl-C; wait first for another web process on the same database.

    There is one listener for each hotkey.
    """
    first, *others = load_hotkeys(config)
    miner = Miner(config, first.signer, others)
    options = _options(
        config,
        Application(miner),
        public_rule,
        loop="uvloop",
        ws=LimitedWebSocketProtocol,
        ws_max_size=MAX_FRAME_BYTES,
        ws_per_message_deflate=False,
        ws_ping_interval=PING_SECONDS,
        ws_ping_timeout=PONG_SECONDS,
        lifespan="on",
        timeout_graceful_shutdown=1,
    )
    admin = _options(config, AdminApplication(miner), admin_rule, ws="none", lifespan="off")
    address = " ".join(one.address for one in listeners)
    server = MinerServer(options, miner, address, AdminSite(admin, admin_listener))
    work = partial(server.serve, [socket for one in listeners for socket in one.sockets])
    uvloop.run(run_exclusively(LOCK, work))


def _options(config: Config, application: Any, rule: BodyRules, **more: Any) -> uvicorn.Config:
    connections = ConnectionLimits(
        config.max_connections,
        config.max_connections_per_address,
        per_peer=config.max_connections_per_validator,
        peers_part=PEERS_PART,
        own_part=OWN_PART,
    )
    guard = HttpGuard(rule, trusted_proxies=config.trusted_proxies, connections=connections)
    return uvicorn.Config(
        application,
        # Uvicorn takes any factory, though its type asks for a class.
        http=guard.protocol,  # type: ignore[arg-type]
        proxy_headers=False,
        log_config=None,
        access_log=False,
        server_header=False,
        **more,
    )
