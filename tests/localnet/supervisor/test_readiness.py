"""Probes of real servers."""

import asyncio
import time

from localnet.network_dir import free_port
from localnet.supervisor import readiness


async def test_without_a_server_nothing_is_ready():
    port = free_port()
    assert not await readiness.tcp(port)()
    assert not await readiness.redis(port)()
    assert not await readiness.http(f"http://127.0.0.1:{port}/")()
    assert not await readiness.sql(f"postgresql://nobody@127.0.0.1:{port}/nothing")()


async def test_an_http_answer_counts_unless_the_server_is_broken():
    answers = {b"/": b"404 Not Found", b"/broken": b"503 Service Unavailable"}

    async def answer(reader, writer):
        path = (await reader.readuntil(b"\r\n\r\n")).split()[1]
        writer.write(b"HTTP/1.1 " + answers[path] + b"\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        assert await readiness.http(f"{url}/")()
        assert not await readiness.http(f"{url}/broken")()


async def test_a_metric_must_be_above_zero():
    page = b'# HELP miners_known how many\nminers_known{class="a"} 0.0\nother 7.0\n'

    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(page), page))
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/metrics"
        assert await readiness.metric_above_zero(url, "other", "token")()
        assert not await readiness.metric_above_zero(url, "miners_known", "token")()
        assert not await readiness.metric_above_zero(url, "unknown", "token")()


async def test_redis_must_answer_pong():
    async def answer(reader, writer):
        await reader.readline()
        writer.write(b"-LOADING still reading the file\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert await readiness.tcp(port)()
        assert not await readiness.redis(port)()


async def test_a_probe_is_repeated_until_it_succeeds():
    answers = iter([False, False, True])

    async def ask():
        return next(answers)

    assert await readiness.wait_until(ask, within_seconds=30)


async def test_a_probe_that_never_succeeds_is_given_up_in_time():
    async def ask():
        return False

    began = time.monotonic()
    assert not await readiness.wait_until(ask, within_seconds=0.2)
    assert time.monotonic() - began < 30
