"""PostgreSQL LISTEN: notifies processes at once of changed rows."""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass

import psycopg
from psycopg import sql

from compute_horde.concurrency.backoff import Backoff
from compute_horde.django.database_address import connection_parameters

log = logging.getLogger(__name__)

CONNECT_SECONDS = 5
RETRY_SECONDS = 0.2
LONGEST_RETRY_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Notification:
    """A notification on a channel; `channel` is empty when some may have been missed."""

    channel: str
    payload: str = ""

    @property
    def missed(self) -> bool:
        """Whether the listener has just (re)connected and must read the rows itself."""
        return not self.channel


async def listen(*channels: str) -> AsyncIterator[Notification]:
    """All notifications on `channels`, without end; an empty one after each (re)connection."""
    backoff = Backoff(RETRY_SECONDS, LONGEST_RETRY_SECONDS)
    while True:
        try:
            async with await connect() as line:
                for channel in channels:
                    await line.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
                backoff.reset()
                yield Notification("")
                async for notify in line.notifies():
                    yield Notification(notify.channel, notify.payload)
        except psycopg.OperationalError as exc:
            log.warning(
                "database connection lost, listening again", extra={"problem": str(exc)[:200]}
            )
        await asyncio.sleep(backoff.take())


async def connect() -> psycopg.AsyncConnection:
    """A new connection, separate from those of the models."""
    return await psycopg.AsyncConnection.connect(
        **connection_parameters(), autocommit=True, connect_timeout=CONNECT_SECONDS
    )
