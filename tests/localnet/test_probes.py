"""Probes against real listeners."""

import asyncio
import time

from localnet import probes
from localnet.home import free_port


async def test_nobody_listens_nobody_is_ready():
    port = free_port()
    assert not await probes.tcp(port)()
    assert not await probes.redis(port)()
    assert not await probes.http(f"http://127.0.0.1:{port}/")()
    assert not await probes.sql(f"postgresql://nobody@127.0.0.1:{port}/nothing")()


async def test_an_http_answer_counts_unless_the_server_is_broken():
    answers = {b"/": b"404 Not Found", b"/broken": b"503 Service Unavailable"}

    async def answer(reader, writer):
        path = (await reader.readuntil(b"\r\n\r\n")).split()[1]
        writer.write(b"HTTP/1.1 " + answers[path] + b"\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        assert await probes.http(f"{url}/")()
        assert not await probes.http(f"{url}/broken")()


async def test_a_count_must_be_more_than_nothing():
    page = b'# HELP miners_known how many\nminers_known{class="a"} 0.0\nother 7.0\n'

    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(page), page))
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/metrics"
        assert await probes.counted(url, "other")()
        assert not await probes.counted(url, "miners_known")()
        assert not await probes.counted(url, "unknown")()


async def test_redis_must_say_pong():
    async def answer(reader, writer):
        await reader.readline()
        writer.write(b"-LOADING still reading the file\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert await probes.tcp(port)()
        assert not await probes.redis(port)()


async def test_it_asks_until_the_answer_is_yes():
    answers = iter([False, False, True])

    async def ask():
        return next(answers)

    assert await probes.until(ask, within_seconds=5)


async def test_it_gives_up_in_time():
    async def ask():
        return False

    began = time.monotonic()
    assert not await probes.until(ask, within_seconds=0.2)
    assert time.monotonic() - began < 1
