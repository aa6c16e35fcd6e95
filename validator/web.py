"""The admin site's web server."""

import uvicorn

from validator.asgi import application
from validator.config import config


def main() -> None:
    """Serve until SIGTERM or Ctrl-C."""
    uvicorn.run(
        application,
        host=config.host,
        port=config.port,
        loop="uvloop",
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=3,
    )
