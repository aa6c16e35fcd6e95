"""The ASGI application: HTTP for users and the admin, a websocket for validators."""

from typing import Any

from django.core.asgi import get_asgi_application

_django = get_asgi_application()

# These imports need Django's apps to be loaded.
from compute_horde.concurrency.task_set import TaskSet  # noqa: E402
from compute_horde.django.database import close_threads  # noqa: E402
from compute_horde.django.static_files import StaticFilesHandler  # noqa: E402
from facilitator import watchdog  # noqa: E402
from facilitator.jobs import status_reports  # noqa: E402
from facilitator.logs import ingest  # noqa: E402
from facilitator.validator_consumer import ValidatorConsumer  # noqa: E402
from facilitator.web.asgi_handler import RequestHandler  # noqa: E402

VALIDATORS = "/ws/v0/"
ADMIN = ("/admin/", "/static/")

_admin = StaticFilesHandler(_django)
_users = RequestHandler()
_validators = ValidatorConsumer.as_asgi()


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Dispatch each connection to its handler, by type and path."""
    match scope["type"]:
        case "lifespan":
            await _lifespan(receive, send)
        case "websocket" if scope["path"] == VALIDATORS:
            await _validators(scope, receive, send)
        case "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1000})
        case "http" if scope["path"].startswith(ADMIN):
            await _admin(scope, receive, send)
        case "http":
            await _users(scope, receive, send)


async def _lifespan(receive: Any, send: Any) -> None:
    """Run the periodic checks until the server stops, then store all pending reports."""
    await receive()
    async with TaskSet() as tasks:
        tasks.spawn(watchdog.run())
        await send({"type": "lifespan.startup.complete"})
        await receive()
    await ingest.writer.close()
    await status_reports.writer.close()
    close_threads()
    await send({"type": "lifespan.shutdown.complete"})
