"""What the web server calls: users over HTTP, validators over a websocket."""

import asyncio
from contextlib import suppress
from typing import Any

from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.asgi import get_asgi_application

_django = get_asgi_application()

# These need Django's apps to be loaded.
from compute_horde.django.database import close_threads  # noqa: E402
from facilitator import login, logs, reports  # noqa: E402
from facilitator.config import config  # noqa: E402
from facilitator.consumer import ValidatorConsumer  # noqa: E402
from facilitator.lean import LeanHandler  # noqa: E402
from facilitator.limits import BodyLimit  # noqa: E402
from facilitator.watch import watch  # noqa: E402

VALIDATORS = "/ws/v0/"
ADMIN = ("/admin/", "/static/")

_admin = BodyLimit(ASGIStaticFilesHandler(_django), config.max_body_bytes)
_users = BodyLimit(LeanHandler(), config.max_body_bytes, login.is_known)
_validators = ValidatorConsumer.as_asgi()


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Lead each connection to its end."""
    match scope["type"]:
        case "lifespan":
            await _live(receive, send)
        case "websocket" if scope["path"] == VALIDATORS:
            await _validators(scope, receive, send)
        case "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1000})
        case "http" if scope["path"].startswith(ADMIN):
            await _admin(scope, receive, send)
        case "http":
            await _users(scope, receive, send)


async def _live(receive: Any, send: Any) -> None:
    """Look around while the server runs; when it stops, finish what was heard."""
    await receive()
    watching = asyncio.create_task(watch())
    await send({"type": "lifespan.startup.complete"})
    await receive()
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching
    await logs.scribe.close()
    await reports.scribe.close()
    close_threads()
    await send({"type": "lifespan.shutdown.complete"})
