"""The admin site's web server."""

import uvicorn

from compute_horde.django.connection_limits import ConnectionLimits
from compute_horde.django.guarded_http import BodyRule, Headers, HttpGuard
from compute_horde.django.needs import ListenAddress
from compute_horde.django.reporting_server import ReportingServer
from validator.asgi import application
from validator.config import config

ADMIN_BYTES = 2**18
OTHER_BYTES = 2**10


def body_rule(method: bytes, target: bytes, headers: Headers) -> BodyRule:
    """The largest request body: only admin forms have one."""
    return BodyRule(ADMIN_BYTES if target.startswith(b"/admin/") else OTHER_BYTES)


def serve(listener: ListenAddress) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    connections = ConnectionLimits(config.max_connections, config.max_connections_per_address)
    guard = HttpGuard(body_rule, trusted_proxies=config.trusted_proxies, connections=connections)
    options = uvicorn.Config(
        application,
        loop="uvloop",
        # Uvicorn takes any factory, though its type asks for a class.
        http=guard.protocol,  # type: ignore[arg-type]
        proxy_headers=False,
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=3,
    )
    ReportingServer(options, listener.address).run(listener.sockets)
