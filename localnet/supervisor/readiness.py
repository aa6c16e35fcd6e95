"""Readiness probes; each checks once and returns whether the process is ready."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import httpx
import psycopg

Probe = Callable[[], Awaitable[bool]]

_INTERVAL_SECONDS = 0.05
_TIMEOUT_SECONDS = 5


async def wait_until(probe: Probe, *, within_seconds: float) -> bool:
    """Repeat the probe until it succeeds; False if it has not within the given time."""
    deadline = time.monotonic() + within_seconds
    while not await _is_ready(probe):
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(_INTERVAL_SECONDS)
    return True


async def _is_ready(probe: Probe) -> bool:
    try:
        return await asyncio.wait_for(probe(), _TIMEOUT_SECONDS)
    except TimeoutError:
        return False


def tcp(port: int) -> Probe:
    """Ready when connections to the port are accepted."""

    async def probe() -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return False
        writer.close()
        return True

    return probe


def _http_client() -> httpx.AsyncClient:
    """A client without certificates: loading them would take longer than the probe itself."""
    return httpx.AsyncClient(trust_env=False, verify=False)


def http(url: str) -> Probe:
    """Ready when the URL is answered with a status below 500."""

    async def probe() -> bool:
        async with _http_client() as client:
            try:
                answer = await client.get(url, timeout=_TIMEOUT_SECONDS)
            except httpx.HTTPError:
                return False
        return answer.status_code < httpx.codes.INTERNAL_SERVER_ERROR

    return probe


def metric_above_zero(url: str, name: str, token: str) -> Probe:
    """Ready when a Prometheus page has a sample above zero whose name begins with `name`."""
    headers = {"Authorization": f"Bearer {token}"}

    async def probe() -> bool:
        async with _http_client() as client:
            try:
                answer = await client.get(url, headers=headers, timeout=_TIMEOUT_SECONDS)
            except httpx.HTTPError:
                return False
        samples = (
            line.rsplit(" ", 1) for line in answer.text.splitlines() if line.startswith(name)
        )
        return any(float(value) > 0 for _, value in samples)

    return probe


def sql(url: str, query: str = "SELECT true") -> Probe:
    """Ready when the first column of the query's first row is true."""

    def ask() -> bool:
        try:
            with psycopg.connect(url, connect_timeout=2) as database:
                row = database.execute(query).fetchone()
        except psycopg.Error:
            return False
        return bool(row and row[0])

    async def probe() -> bool:
        # In a thread: an asynchronous connection stays open when it is cancelled while it is made.
        return await asyncio.to_thread(ask)

    return probe


def redis(port: int) -> Probe:
    """Ready when PING is answered with PONG, that is, after the data is loaded."""

    async def probe() -> bool:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"PING\r\n")
            answer = await reader.readline()
            writer.close()
        except OSError:
            return False
        return answer.startswith(b"+PONG")

    return probe
