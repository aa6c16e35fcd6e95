"""Questions that tell whether a process is ready. Each answers at once with yes or no."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import httpx
import psycopg

Probe = Callable[[], Awaitable[bool]]

_ASK_EVERY_SECONDS = 0.05
_ANSWER_WITHIN_SECONDS = 5


async def until(probe: Probe, *, within_seconds: float) -> bool:
    """Ask again and again until the answer is yes or the time is over."""
    deadline = time.monotonic() + within_seconds
    while not await _answer(probe):
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(_ASK_EVERY_SECONDS)
    return True


async def _answer(probe: Probe) -> bool:
    try:
        return await asyncio.wait_for(probe(), _ANSWER_WITHIN_SECONDS)
    except TimeoutError:
        return False


def tcp(port: int) -> Probe:
    """Does anybody accept connections?"""

    async def ask() -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return False
        writer.close()
        return True

    return ask


def _browser() -> httpx.AsyncClient:
    """Loading certificates for plain HTTP would cost more than the question."""
    return httpx.AsyncClient(trust_env=False, verify=False)


def http(url: str) -> Probe:
    """Is there an HTTP answer that is not a server's error?"""

    async def ask() -> bool:
        async with _browser() as client:
            try:
                answer = await client.get(url, timeout=_ANSWER_WITHIN_SECONDS)
            except httpx.HTTPError:
                return False
        return answer.status_code < httpx.codes.INTERNAL_SERVER_ERROR

    return ask


def counted(url: str, name: str) -> Probe:
    """Is this number of a Prometheus page more than nothing?"""

    async def ask() -> bool:
        async with _browser() as client:
            try:
                page = (await client.get(url, timeout=_ANSWER_WITHIN_SECONDS)).text
            except httpx.HTTPError:
                return False
        samples = (line.rsplit(" ", 1) for line in page.splitlines() if line.startswith(name))
        return any(float(value) > 0 for _, value in samples)

    return ask


def sql(url: str, query: str = "SELECT true") -> Probe:
    """Does the query find a row whose first value is true?"""

    async def ask() -> bool:
        try:
            async with await psycopg.AsyncConnection.connect(url, connect_timeout=2) as database:
                row = await (await database.execute(query)).fetchone()
        except psycopg.Error:
            return False
        return bool(row and row[0])

    return ask


def redis(port: int) -> Probe:
    """Does it answer a ping, having loaded its data?"""

    async def ask() -> bool:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"PING\r\n")
            answer = await reader.readline()
            writer.close()
        except OSError:
            return False
        return answer.startswith(b"+PONG")

    return ask
