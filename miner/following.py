"""Keeps what `web` holds of the database in memory up to date, by notifications."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from django.db import InterfaceError, OperationalError

from compute_horde.django.notifications import listen

log = logging.getLogger(__name__)

RETRY_SECONDS = 1.0


async def follow(channel: str, read: Callable[[], Awaitable[None]]) -> None:
    """Call `read` after every notification, again while the database fails; never returns."""
    async for _ in listen(channel):
        while not await _try_to(read, channel):
            continue


async def _try_to(read: Callable[[], Awaitable[None]], channel: str) -> bool:
    try:
        await read()
    except (OperationalError, InterfaceError) as exc:
        log.error("cannot be read", extra={"channel": channel, "problem": str(exc)[:200]})
        await asyncio.sleep(RETRY_SECONDS)
        return False
    return True
