"""The facilitator's server process."""

import socket
from functools import partial

import uvicorn
import uvloop

from compute_horde.django.connection_limits import ConnectionLimits
from compute_horde.django.guarded_http import HttpGuard
from compute_horde.django.guarded_websocket import LimitedWebSocketProtocol
from compute_horde.django.needs import ListenAddress
from compute_horde.django.reporting_server import ReportingServer
from compute_horde.django.single_instance import run_exclusively
from compute_horde.protocol.message import REPORT_FRAME_BYTES
from facilitator.asgi import application
from facilitator.config import config
from facilitator.jobs.status_feed import feed_registry
from facilitator.logs.ingest import reader_registry
from facilitator.web.body_limit import ANONYMOUS_BYTES, body_rule

STOP_SECONDS = 3
LOCK = "facilitator web"
# Connections of one validator, and the share of all reserved for validators known from earlier
# logins.
CONNECTIONS_PER_VALIDATOR, VALIDATORS_PART = 64, 1 / 8


class FacilitatorServer(ReportingServer):
    """Ends open event streams first, so that they do not delay its stop."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        feed_registry.stop()
        reader_registry.stop()
        await super().shutdown(sockets)


def serve(listener: ListenAddress) -> None:
    """Serve until told to stop; while another process serves from our database, wait for its end.

    A validator's connection and the users who wait for its jobs must be in the same process.
    """
    connections = ConnectionLimits(
        config.max_connections,
        config.max_connections_per_address,
        stranger_bytes=ANONYMOUS_BYTES,
        per_peer=CONNECTIONS_PER_VALIDATOR,
        peers_part=VALIDATORS_PART,
    )
    guard = HttpGuard(body_rule, trusted_proxies=config.trusted_proxies, connections=connections)
    options = uvicorn.Config(
        application,
        loop="uvloop",
        # Uvicorn takes any factory, though its type asks for a class.
        http=guard.protocol,  # type: ignore[arg-type]
        proxy_headers=False,
        ws=LimitedWebSocketProtocol,
        ws_max_size=REPORT_FRAME_BYTES,
        ws_per_message_deflate=False,
        access_log=False,
        log_config=None,
        lifespan="on",
        timeout_graceful_shutdown=STOP_SECONDS,
    )
    work = partial(FacilitatorServer(options, listener.address).serve, listener.sockets)
    uvloop.run(run_exclusively(LOCK, work))
