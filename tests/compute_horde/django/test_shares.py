"""Reserved connections of strangers, logged-in peers and our own executors."""

import asyncio
import resource
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from websockets.frames import Frame, Opcode

from compute_horde.django.connection_limits import ConnectionLimits
from compute_horde.django.guarded_websocket import LOGIN_BYTES, TRY_AGAIN_LATER
from tests.guarded_server import UPGRADE, Server, serving

LIMITS = ConnectionLimits(in_all=16, peers_part=1 / 4, own_part=1 / 8)
STRANGERS, NOT_OWN = 10, 14
STRANGER, VALIDATOR, EXECUTOR = "127.0.0.2", "127.0.0.3", "127.0.0.4"


class Clients:
    """Websockets that stay open until the end."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.writers: list[asyncio.StreamWriter] = []

    async def answer(self, source: str, path: str = "/") -> str:
        """The server's response to one more websocket."""
        _, _, answer = await self.open(source, path)
        return answer

    async def open(
        self, source: str, path: str = "/"
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, str]:
        reader, writer = await self._server.open(source)
        self.writers.append(writer)
        writer.write(UPGRADE.replace(b"GET /", b"GET " + path.encode(), 1) + b"\r\n")
        async with asyncio.timeout(10):
            head = await reader.readuntil(b"\r\n\r\n")
            if b" 503 " in head:
                writer.close()
                return reader, writer, "503"
            return reader, writer, await frame(reader)


async def frame(reader: asyncio.StreamReader) -> str:
    async with asyncio.timeout(10):
        _, size = await reader.readexactly(2)
        return (await reader.readexactly(size)).decode(errors="replace")


@asynccontextmanager
async def clients(limits: ConnectionLimits) -> AsyncIterator[tuple[Clients, Server]]:
    async with serving(connections=limits) as server:
        made = Clients(server)
        try:
            yield made, server
        finally:
            for writer in made.writers:
                writer.transport.abort()


async def test_strangers_leave_room_for_peers_that_logged_in_before_and_both_for_executors() -> (
    None
):
    async with clients(LIMITS) as (some, _):
        assert await some.answer(VALIDATOR, "/known/validator") != "503"
        assert await some.answer(EXECUTOR, "/known") != "503"
        for _ in range(STRANGERS):
            assert await some.answer(STRANGER) != "503"
        assert await some.answer(STRANGER) == "503"
        for n in range(NOT_OWN - STRANGERS - 1):
            assert await some.answer(VALIDATOR, f"/known/{n}") != "503"
        assert await some.answer(VALIDATOR) == "503"
        assert await some.answer(EXECUTOR, "/known") != "503"
        assert await some.answer(EXECUTOR, "/known") == "503"


async def test_a_stranger_that_logs_in_makes_room_for_the_next() -> None:
    async with clients(LIMITS) as (some, _):
        for _ in range(STRANGERS - 1):
            await some.answer(STRANGER)
        reader, writer, _ = await some.open(STRANGER)
        assert await some.answer("127.0.0.9") == "503"
        writer.write(Frame(Opcode.TEXT, b"log in").serialize(mask=True))
        assert await frame(reader) == "welcome"
        assert await some.answer("127.0.0.9") != "503"


async def test_connections_of_one_peer_are_bounded_from_wherever_it_comes() -> None:
    async with clients(ConnectionLimits(per_peer=2)) as (some, server):
        _, first, _ = await some.open("127.0.0.2", "/known/a")
        assert await some.answer("127.0.0.3", "/known/a") != "too many"
        assert await some.answer("127.0.0.4", "/known/a") == "too many"
        assert await some.answer("127.0.0.4", "/known/b") != "too many"
        first.close()
        async with asyncio.timeout(10):
            while server.guard.table._by_peer["a"] == 2:
                await asyncio.sleep(0)
        assert await some.answer("127.0.0.4", "/known/a") != "too many"


async def test_a_small_table_is_not_for_one_peer() -> None:
    async with clients(ConnectionLimits(in_all=24)) as (some, _):
        answers = [await some.answer("127.0.0.2", "/known/a") for _ in range(17)]
        assert answers.index("too many") == 16


@pytest.mark.parametrize("ends", ["it logs in", "it goes"])
async def test_what_strangers_send_is_in_the_budget_of_bytes_until(ends: str) -> None:
    long = Frame(Opcode.TEXT, b"x" * 100_000).serialize(mask=True)
    head, end = long[:-1], long[-1:]
    login = Frame(Opcode.TEXT, b"log in").serialize(mask=True)
    limits = ConnectionLimits(body_bytes_per_address=len(head))
    async with clients(limits) as (some, server):
        reader, writer, _ = await some.open(STRANGER)
        writer.write(head)
        async with asyncio.timeout(10):
            while server.guard.table._held_bytes < len(head) - LOGIN_BYTES:
                await asyncio.sleep(0)
        second, other, _ = await some.open(STRANGER)
        other.write(head)
        assert TRY_AGAIN_LATER.to_bytes(2, "big") in await second.read(100)
        third, other, _ = await some.open(STRANGER)
        other.write(login)
        # A login fits, however much memory others hold.
        assert await frame(third) == "welcome"
        if ends == "it logs in":
            writer.write(end + login)
            assert await frame(reader) == "welcome"
        else:
            writer.transport.abort()
        async with asyncio.timeout(10):
            while server.guard.table._held_bytes:
                await asyncio.sleep(0)


async def test_a_service_whose_logins_are_short_hears_less_of_strangers() -> None:
    async with clients(ConnectionLimits(stranger_bytes=2**16)) as (some, _):
        reader, writer, _ = await some.open(STRANGER)
        writer.write(Frame(Opcode.TEXT, b"x" * 2**17).serialize(mask=True)[:-1])
        assert b"more than 65536 bytes" in await reader.read(200)


START = """
import resource
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
from compute_horde.configuration import Settings
from compute_horde.django.service import Process, Service
def run():
    print("open files:", resource.getrlimit(resource.RLIMIT_NOFILE)[0])
process = Process("web", run, (), "django.conf.global_settings")
Service("example", Settings(), 0, (process,)).main([])
"""


def test_a_process_may_open_as_many_files_as_the_system_lets_it() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    done = subprocess.run(
        [sys.executable, "-c", START], capture_output=True, text=True, timeout=60, check=False
    )
    most = 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)
    assert f"open files: {most}" in done.stdout, done.stderr
