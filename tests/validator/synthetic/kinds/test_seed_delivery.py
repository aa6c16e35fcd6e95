"""The seed goes to the job's own server only, and its hash must come in time."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
import pytest

from compute_horde.addresses import Reach
from compute_horde.protocol.job import StreamingReady
from compute_horde.streaming.certificates import Identity, new_identity
from tests.peers.llm_miner import proxy
from tests.validator.conftest import LOOPBACK
from validator.llm.programs.seed_server import SeedServer
from validator.synthetic.kinds.seed_delivery import (
    TERMINATE_SECONDS,
    SeedError,
    deliver_seed,
    opened,
    terminate,
)

UUID = "00000000-0000-0000-0000-000000000001"
OURS, THEIRS = new_identity(), new_identity()
HERE = Reach(networks=LOOPBACK)


@asynccontextmanager
async def serving(solve: Callable[[int], dict[str, str]]) -> AsyncIterator[StreamingReady]:
    """A streaming job behind its proxy."""
    server = SeedServer(("127.0.0.1", 0), solve)
    thread = threading.Thread(target=server.serve_until_ended)
    thread.start()
    try:
        async with proxy(THEIRS, OURS.pem, server.server_port) as port:
            yield StreamingReady(job_uuid=UUID, public_key=THEIRS.pem, ip="127.0.0.1", port=port)
    finally:
        server.shutdown()
        thread.join(5)


async def asked(
    server: StreamingReady, *, identity: Identity = OURS, reach: Reach = HERE, seconds: float = 9
) -> str:
    async with opened(server, identity, reach) as client:
        found = await deliver_seed(client, 5, seconds)
        await terminate(client)
        return found


async def test_the_first_value_of_the_answer_is_the_hash() -> None:
    async with serving(lambda seed: {"a": f"hash of {seed}"}) as server:
        assert await asked(server) == "hash of 5"


async def test_a_server_that_is_not_the_jobs_or_a_client_that_is_not_ours_gets_nothing() -> None:
    seeds: list[int] = []
    async with serving(lambda seed: seeds.append(seed) or {"a": ""}) as server:
        other = server.model_copy(update={"public_key": OURS.pem})
        with pytest.raises(SeedError, match="was not reached"):
            await asked(other)
        with pytest.raises(SeedError, match="was not reached"):
            await asked(server, identity=THEIRS)
    assert seeds == []


async def test_a_late_hash_is_none() -> None:
    release = threading.Event()
    async with serving(lambda seed: {"a": str(release.wait(9))}) as server:
        with pytest.raises(SeedError, match=r"no hash within 0\.3 s of the seed"):
            await asked(server, seconds=0.3)
        release.set()


@pytest.mark.parametrize("answer", [{}, {"a": 5}, {"a": "x" * 5000}])
async def test_an_answer_without_a_hash_is_named(answer: dict[str, str]) -> None:
    async with serving(lambda seed: answer) as server:
        with pytest.raises(SeedError, match=r"has no hash|has over 4096 bytes"):
            await asked(server)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"ip": "10.0.0.1"}, "10.0.0.1 is in no allowed network"),
        ({"ip": "no such host"}, "is no IP address, and host names are not looked up"),
        ({"ip": "localhost"}, "is no IP address"),
        ({"public_key": "none"}, "certificate of the streaming job is invalid"),
    ],
)
async def test_a_wrong_server_is_named(changes: dict[str, str], problem: str) -> None:
    server = StreamingReady(job_uuid=UUID, public_key=THEIRS.pem, ip="127.0.0.1", port=1)
    with pytest.raises(SeedError, match=problem):
        await asked(server.model_copy(update=changes))


async def test_a_host_name_of_a_miner_is_never_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    asked_for: list[object] = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *about, **_: asked_for.append(about))
    server = StreamingReady(job_uuid=UUID, public_key=THEIRS.pem, ip="slow.example", port=1)
    with pytest.raises(SeedError, match="is no IP address"):
        await asked(server)
    assert asked_for == []


async def test_the_answer_to_the_end_is_not_read() -> None:
    is_closed, asked_with = asyncio.Event(), list[bytes]()

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked_with.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\nbegin")
        # The rest never comes: whoever wants it waits until the client gives up.
        await reader.read()
        writer.transport.abort()
        is_closed.set()

    server = await asyncio.start_server(endless, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        async with asyncio.timeout(TERMINATE_SECONDS / 2):
            await terminate(client)
            await is_closed.wait()
    assert b"Accept-Encoding: identity" in asked_with[0]
