"""Signed receipts as lines of pages, and HTTP servers that publish them, also hostile ones."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from bittensor_core import Keypair

from compute_horde.hardware import ExecutorClass
from compute_horde.receipts import (
    AnyPayload,
    JobAcceptedReceipt,
    JobFinishedReceipt,
    JobIntervalReceipt,
    JobStartedReceipt,
    Receipt,
)
from compute_horde.signing import signed_hex
from tests.peers.keys import MINER, VALIDATOR
from validator.receipts.verification import Expected

CLASS = ExecutorClass.always_on__llm__a6000


def now() -> datetime:
    return datetime.now(UTC)


def started(uuid: str = "", **changes: Any) -> JobStartedReceipt:
    fields = _fields(uuid) | {"executor_class": CLASS, "is_organic": True, "ttl": 7} | changes
    return JobStartedReceipt(**fields)


def accepted(uuid: str = "", **changes: Any) -> JobAcceptedReceipt:
    return JobAcceptedReceipt(**_fields(uuid) | {"time_accepted": now(), "ttl": 60} | changes)


def finished(uuid: str = "", **changes: Any) -> JobFinishedReceipt:
    work = {"time_started": now(), "time_took_us": 5, "score_str": "1.500000"}
    return JobFinishedReceipt(**_fields(uuid) | work | changes)


def interval(uuid: str = "", number: int = 0, **changes: Any) -> JobIntervalReceipt:
    work = {"interval": number, "time_started": now(), "time_took_us": 5, "score_str": "0.5"}
    return JobIntervalReceipt(**_fields(uuid) | work | changes)


def _fields(uuid: str) -> dict[str, Any]:
    return {
        "job_uuid": uuid or str(uuid4()),
        "miner_hotkey": MINER.ss58_address,
        "validator_hotkey": VALIDATOR.ss58_address,
        "timestamp": now() - timedelta(seconds=1),
    }


def signed(
    payload: AnyPayload, *, validator: Keypair = VALIDATOR, miner: Keypair = MINER
) -> Receipt:
    blob = payload.blob()
    return Receipt(
        payload=payload,
        validator_signature=signed_hex(validator, blob),
        miner_signature=signed_hex(miner, blob),
    )


def line(payload: AnyPayload | None = None, **keys: Keypair) -> bytes:
    return signed(payload or started(), **keys).model_dump_json().encode() + b"\n"


def expected(**changes: Any) -> Expected:
    fields = {
        "miner": MINER.ss58_address,
        "validators": frozenset({VALIDATOR.ss58_address}),
        "now": now(),
        "not_before": now() - timedelta(days=2),
    }
    return Expected(**fields | changes)


Handle = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def http_server(handle: Handle) -> AsyncIterator[int]:
    """A server on loopback that calls `handle` with the head of each request; yields its port."""
    connections = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(asyncio.current_task())
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                await handle(head, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.CancelledError, OSError):
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections)


def response(status: int, body: bytes = b"", **headers: str) -> bytes:
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    head = "\r\n".join([f"HTTP/1.1 {status} Words", f"Content-Length: {len(body)}", *lines])
    return head.encode() + b"\r\n\r\n" + body


class Publisher:
    """A well-behaved miner: its pages, and the requests it got as (page, first byte)."""

    def __init__(self) -> None:
        self.pages: dict[int, bytes] = {}
        self.requests: list[tuple[int, int]] = []

    async def handle(self, head: bytes, writer: asyncio.StreamWriter) -> None:
        page = int(re.search(rb"/receipts/(\d+)\.jsonl", head)[1])
        found = re.search(rb"Range: bytes=(\d+)-\r\n", head)
        start = int(found[1]) if found else 0
        self.requests.append((page, start))
        body = self.pages.get(page)
        if body is None:
            writer.write(response(404, b"no such page"))
        elif found is None:
            writer.write(response(200, body))
        elif start >= len(body):
            writer.write(response(416, Content_Range=f"bytes */{len(body)}"))
        else:
            where = f"bytes {start}-{len(body) - 1}/{len(body)}"
            writer.write(response(206, body[start:], Content_Range=where))
