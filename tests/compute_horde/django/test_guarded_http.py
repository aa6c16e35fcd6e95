"""Limits on HTTP requests, tested over raw sockets."""

import asyncio
import json

import pytest

from compute_horde.django import connection_limits
from compute_horde.django.guarded_http import HttpLimits
from tests.guarded_server import (
    BODY_BYTES,
    GET,
    UPGRADE,
    answered,
    one_answer,
    post,
    serving,
    status,
)

# Long enough for a request of one piece on a busy machine.
QUICK = HttpLimits(header_seconds=0.5, idle_seconds=0.5, body_seconds=0.5, linger_seconds=0.5)


@pytest.fixture(autouse=True)
def _sweep_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_limits, "SWEEP_SECONDS", 0.02)


@pytest.mark.parametrize("lines", [b"", UPGRADE.partition(b"\r\n")[2]])
@pytest.mark.parametrize(
    "flood",
    [
        [b"A: " + b"x" * 2**20] * 60,
        [b"A: x\r\n" * 1000] * 1000,
        [b"A: " + b"x" * 1000 + b"\r\n"] * 60_000,
        [b"\r\n" * 2**19] * 60,
    ],
    ids=["one-endless-value", "many-fields", "many-lines", "blank-lines"],
)
async def test_headers_without_end_are_refused_at_their_bound(
    lines: bytes, flood: list[bytes]
) -> None:
    async with serving() as server:
        begin = b"" if flood[0].startswith(b"\r") else GET + lines
        answer = await server.exchange(begin, *flood)
        assert not answer or status(answer) == 431
        assert server.application.served == 0


@pytest.mark.parametrize("fields", [b"A: x\r\n" * 6000, b"A: x\r\n" * 127 + b"B: " + b"x" * 32000])
async def test_a_request_that_breaks_two_bounds_is_refused_once(
    fields: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving() as server:
        # In one piece, so that both bounds are passed while it is read.
        answer = await server.exchange(GET + fields)
        assert not answer or (status(answer), answer.count(b"HTTP/1.1")) == (431, 1)
        assert server.application.served == 0
    assert "Fatal error" not in caplog.text


async def test_headers_just_below_the_bound_are_read() -> None:
    async with serving() as server:
        fields = (b"A: " + b"x" * 8000 + b"\r\n") * 4
        reader, writer = await server.open()
        assert (await one_answer(reader, writer, GET + fields + b"\r\n"))[0] == 200
        writer.close()


@pytest.mark.parametrize(
    "sent", [b"", b"GET / HT", GET, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1234"]
)
async def test_what_is_half_sent_is_ended_in_time(sent: bytes) -> None:
    async with serving(limits=QUICK) as server:
        answer = await server.exchange(sent)
        assert status(answer) == 408 if sent else answer == b""


async def test_a_byte_now_and_then_does_not_keep_a_connection() -> None:
    async with serving(limits=QUICK) as server:
        reader, writer = await server.open()

        async def dribble() -> None:
            writer.write(GET + b"A: ")
            while True:
                writer.write(b"x")
                await asyncio.sleep(0.02)

        dribbling = asyncio.create_task(dribble())
        assert status(await answered(reader, writer)) == 408
        dribbling.cancel()
        writer.close()


@pytest.mark.parametrize("then", [b"", b"\r\n"])
async def test_a_connection_is_closed_when_nothing_follows_an_answer(then: bytes) -> None:
    async with serving(limits=QUICK) as server:
        reader, writer = await server.open()
        for _ in range(2):
            assert (await one_answer(reader, writer, GET + b"\r\n"))[0] == 200
        answer = await answered(reader, writer, then)
        assert status(answer) == 408 if then else answer == b""
        writer.close()


async def test_an_answer_may_take_as_long_as_it_takes() -> None:
    async with serving(limits=QUICK) as server:
        server.application.may_answer.clear()
        reader, writer = await server.open()
        asking = asyncio.create_task(one_answer(reader, writer, GET + b"\r\n"))
        await asyncio.wait({asking}, timeout=0.8)
        assert not asking.done()
        server.application.may_answer.set()
        assert (await asking)[0] == 200
        writer.close()


CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


async def test_a_body_that_is_announced_too_long_is_refused_before_it_is_read() -> None:
    async with serving() as server:
        answer = await server.exchange(post(BODY_BYTES + 1))
        assert (status(answer), server.application.served) == (413, 0)
        assert str(BODY_BYTES) in json.loads(answer.partition(b"\r\n\r\n")[2])["details"]


async def test_a_client_that_sends_a_long_body_anyway_hears_why_it_is_refused() -> None:
    async with serving() as server:
        answer = await server.exchange(post(2**24), *[b"x" * 2**16] * 256)
        assert (status(answer), server.application.served) == (413, 0)


@pytest.mark.parametrize("size", [1, 10_000])
async def test_chunks_are_counted(size: int) -> None:
    chunk = b"%x\r\n" % size + b"x" * size + b"\r\n"
    async with serving() as server:
        reader, writer = await server.open()
        fits = CHUNKED + chunk * (BODY_BYTES // size) + b"0\r\n\r\n"
        found, told = await one_answer(reader, writer, fits)
        assert (found, told["received"]) == (200, BODY_BYTES)
        writer.close()
        assert status(await server.exchange(CHUNKED, *[chunk] * (BODY_BYTES // size + 1))) == 413


@pytest.mark.parametrize(
    "beside",
    [
        [b"1;" + b"x" * 2**20] + [b"x" * 2**20] * 20,
        [b"1\r\nx\r\n0\r\nA: "] + [b"x" * 2**20] * 20,
        [b"1\r\nx\r\n0\r\n"] + [b"A: x\r\n" * 1000] * 100,
    ],
    ids=["extension", "endless-trailer", "many-trailers"],
)
async def test_what_stands_beside_a_body_is_bounded(beside: list[bytes]) -> None:
    async with serving() as server:
        assert status(await server.exchange(CHUNKED, *beside)) in (400, 431)


async def test_trailers_do_not_become_headers() -> None:
    async with serving() as server:
        reader, writer = await server.open()
        request = CHUNKED + b"1\r\nx\r\n0\r\nAuthorization: Bearer x\r\n\r\n"
        assert (await one_answer(reader, writer, request))[0] == 200
        assert b"authorization" not in dict(server.application.headers)
        writer.close()


@pytest.mark.parametrize("size", [11, 10**6])
async def test_a_body_that_may_be_cut_is_answered_at_its_bound(size: int) -> None:
    async with serving() as server:
        reader, writer = await server.open()
        found, told = await one_answer(reader, writer, post(size, b"/cut"))
        assert (found, told["received"]) == (200, 0)
        writer.close()


async def test_many_requests_at_once_on_one_connection_end_it() -> None:
    async with serving() as server:
        server.application.may_answer.clear()
        assert await server.exchange((GET + b"\r\n") * 1000) == b""
        assert server.application.served <= 1


async def test_a_few_requests_at_once_are_answered_in_order() -> None:
    async with serving() as server:
        reader, writer = await server.open()
        writer.write((GET + b"\r\n") * 4)
        for _ in range(4):
            assert (await one_answer(reader, writer, b""))[0] == 200
        writer.close()


FORWARDED = b"X-Forwarded-For: 9.9.9.9, 5.5.5.5\r\nX-Forwarded-Proto: https\r\n"


async def test_a_header_about_who_asks_is_believed_of_trusted_proxies_only() -> None:
    for proxies, client, scheme in [
        ((), "127.0.0.1", "http"),
        (["127.0.0.0/8"], "5.5.5.5", "https"),
    ]:
        async with serving(trusted_proxies=proxies) as server:
            reader, writer = await server.open()
            _, told = await one_answer(reader, writer, GET + FORWARDED + b"\r\n")
            assert (told["client"], told["scheme"]) == (client, scheme)
            writer.close()
            reader, writer = await server.open()
            writer.write(UPGRADE + FORWARDED + b"\r\n")
            line = await reader.readuntil(scheme.replace("http", "ws").encode())
            assert line.endswith(f"{client} {scheme.replace('http', 'ws')}".encode())
            writer.close()


async def test_what_is_no_http_is_refused() -> None:
    async with serving() as server:
        assert status(await server.exchange(b"\x16\x03\x01\x02\x00")) == 400
