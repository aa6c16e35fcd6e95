"""Sends the seed to a streaming job of the kind `llm`, under mutual TLS, and reads the hash.

What only such jobs need is imported when one runs: every process of the validator loads the kinds.
"""

import asyncio
import ipaddress
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http.client import OK
from typing import TYPE_CHECKING

from compute_horde.addresses import Reach
from compute_horde.protocol.job import StreamingReady

if TYPE_CHECKING:
    import httpx

    from compute_horde.streaming.certificates import Identity

log = logging.getLogger(__name__)

MAX_ANSWER_BYTES = 4096
CONNECT_SECONDS = 5.0
TERMINATE_SECONDS = 5.0
NOT_PACKED = {"Accept-Encoding": "identity"}


class SeedError(Exception):
    """The job did not answer the seed as it should; the text says what happened."""


@asynccontextmanager
async def opened(
    server: StreamingReady, identity: "Identity", reach: Reach
) -> AsyncIterator["httpx.AsyncClient"]:
    """A client that trusts only the certificate of this job's server, and shows ours.

    Raises:
        SeedError: the certificate is none, or the address is not one that may be connected to.
    """
    import httpx

    from compute_horde.streaming import certificates
    from compute_horde.streaming.client_context import client_context

    address = _allowed_address(server, reach)
    host = f"[{address}]" if ":" in address else address
    try:
        context = client_context(certificates.read(server.public_key), identity)
    except ValueError as exc:
        raise SeedError(f"the certificate of the streaming job is invalid: {exc}") from exc
    async with httpx.AsyncClient(
        base_url=f"https://{host}:{server.port}", verify=context, trust_env=False
    ) as client:
        yield client


async def deliver_seed(client: "httpx.AsyncClient", seed: int, seconds: float) -> str:
    """Send the seed, and return the hash of the answers, which must come within `seconds`.

    Raises:
        SeedError: there is no hash in time.
    """
    import httpx

    try:
        async with asyncio.timeout(seconds):
            return await _ask(client, seed, httpx.Timeout(seconds, connect=CONNECT_SECONDS))
    except (TimeoutError, httpx.ReadTimeout):
        raise SeedError(f"no hash within {seconds:g} s of the seed") from None
    except httpx.HTTPError as exc:
        text = f"the streaming job was not reached: {type(exc).__name__}: {exc}"
        raise SeedError(text[:200]) from exc


async def terminate(client: "httpx.AsyncClient") -> None:
    """End the server; a job that does not end is ended by its time limit.

    The body of its answer is not read: it may be endless, or unpack to any size.
    """
    import httpx

    try:
        async with asyncio.timeout(TERMINATE_SECONDS):
            async with client.stream("GET", "/terminate", headers=NOT_PACKED):
                pass
    except (httpx.HTTPError, TimeoutError) as exc:
        log.info("a streaming job did not end at once", extra={"problem": str(exc)[:200]})


async def _ask(client: "httpx.AsyncClient", seed: int, timeout: "httpx.Timeout") -> str:
    """The first value of the answer to the seed."""
    body, given = bytearray(), {"seed": seed}
    async with client.stream(
        "POST", "/execute-job", json=given, timeout=timeout, headers=NOT_PACKED
    ) as response:
        async for piece in response.aiter_raw():
            body += piece
            if len(body) > MAX_ANSWER_BYTES:
                raise SeedError(f"the answer to the seed has over {MAX_ANSWER_BYTES} bytes")
    if response.status_code != OK:
        raise SeedError(f"the job answered the seed with HTTP {response.status_code}")
    try:
        found = next(iter(json.loads(body).values()))
    except (ValueError, AttributeError, StopIteration, RecursionError):
        found = None
    if not isinstance(found, str):
        raise SeedError("the answer to the seed has no hash")
    return found


def _allowed_address(server: StreamingReady, reach: Reach) -> str:
    """The address of the server; a miner may name any, such as one in the validator's network.

    A host name is refused: its look-up would hold a thread for as long as the miner's name server
    likes, and all look-ups of the validator share few threads.
    """
    try:
        address = str(ipaddress.ip_address(str(server.ip)))
    except ValueError as exc:
        raise SeedError(
            f"the streaming job's address {str(server.ip)[:80]!r} is no IP address, and host names "
            "are not looked up"
        ) from exc
    if not reach.allows(address):
        raise SeedError(
            f"the streaming job's address {address} is in no allowed network "
            "(VALIDATOR_ALLOWED_NETWORKS)"
        )
    return address
