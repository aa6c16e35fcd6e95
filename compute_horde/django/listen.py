"""PostgreSQL LISTEN: how processes learn at once that a row changed."""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass

import psycopg
from django.db import connection
from psycopg import sql

log = logging.getLogger(__name__)

CONNECT_SECONDS = 5
RETRY_SECONDS = 0.2
LONGEST_RETRY_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Notice:
    """What was told on a channel; `channel` is empty when some may have been missed."""

    channel: str
    payload: str = ""

    @property
    def missed(self) -> bool:
        """Whether the listener (re)connected just now and must look at the rows themselves."""
        return not self.channel


async def notices(*channels: str) -> AsyncIterator[Notice]:
    """Every notice on `channels`, for ever; an empty one after each (re)connection."""
    wait = RETRY_SECONDS
    while True:
        try:
            async with await connect() as line:
                for channel in channels:
                    await line.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
                wait = RETRY_SECONDS
                yield Notice("")
                async for told in line.notifies():
                    yield Notice(told.channel, told.payload)
        except psycopg.OperationalError as exc:
            log.warning("listening again", extra={"problem": str(exc)[:200]})
        await asyncio.sleep(wait)
        wait = min(wait * 2, LONGEST_RETRY_SECONDS)


async def connect() -> psycopg.AsyncConnection:
    """A connection of one's own, beside those of the models."""
    options = connection.get_connection_params()
    wanted = {k: options[k] for k in ("dbname", "user", "password", "host", "port") if k in options}
    return await psycopg.AsyncConnection.connect(
        **wanted, autocommit=True, connect_timeout=CONNECT_SECONDS
    )
