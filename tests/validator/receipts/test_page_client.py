"""Requests for pages, and what hostile servers answer."""

import asyncio
import gzip
import socket
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.validator.receipts.published import Handle, Publisher, http_server, response
from validator.receipts.page_client import MAX_HEAD_BYTES, PageClient
from validator.receipts.pages import MAX_FETCH_BYTES, PagePart, TransferError, TransferProblem

# Generous where the answer comes at once, and short where waiting for it is the test.
AMPLE_SECONDS = 20.0
BRIEF_SECONDS = 0.3


@asynccontextmanager
async def client_of(handle: Handle) -> AsyncIterator[PageClient]:
    async with http_server(handle) as port:
        client = PageClient("127.0.0.1", port)
        try:
            yield client
        finally:
            client.close()


def answers(*answers: bytes) -> Handle:
    """Sends these, one for each request, the last one again and again."""
    left = list(answers)

    async def handle(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(left.pop(0) if len(left) > 1 else left[0])

    return handle


async def fetched(handle: Handle, offset: int = 0, seconds: float = AMPLE_SECONDS) -> PagePart:
    async with client_of(handle) as client:
        return await client.fetch(7, offset, seconds)


async def problem(handle: Handle, offset: int = 0, seconds: float = AMPLE_SECONDS) -> str:
    with pytest.raises(TransferError) as caught:
        await fetched(handle, offset, seconds)
    return str(caught.value.problem)


async def test_requests_have_the_published_form() -> None:
    heads: list[bytes] = []

    async def handle(head: bytes, writer: asyncio.StreamWriter) -> None:
        heads.append(head)
        writer.write(response(404))

    async with client_of(handle) as client:
        await client.fetch(7, 0, AMPLE_SECONDS)
        await client.fetch(7, 20, AMPLE_SECONDS)
        host = client.address
    assert [head.decode().split("\r\n") for head in heads] == [
        ["GET /receipts/7.jsonl HTTP/1.1", f"Host: {host}", "Accept-Encoding: gzip", "", ""],
        [
            *("GET /receipts/7.jsonl HTTP/1.1", f"Host: {host}", "Accept-Encoding:"),
            *("Range: bytes=20-", "", ""),
        ],
    ]


async def test_a_page_is_read_whole_and_then_from_an_offset() -> None:
    publisher = Publisher()
    publisher.pages[7] = b"abc\n"
    async with client_of(publisher.handle) as client:
        assert await client.fetch(7, 0, AMPLE_SECONDS) == PagePart(0, b"abc\n")
        assert await client.fetch(7, 4, AMPLE_SECONDS) == PagePart(4, length=4)
        publisher.pages[7] += b"de\n"
        assert await client.fetch(7, 4, AMPLE_SECONDS) == PagePart(4, b"de\n", length=7)
        assert await client.fetch(8, 0, AMPLE_SECONDS) == PagePart(0)


async def test_a_compressed_page_is_decompressed() -> None:
    body = b"line\n" * 1000
    whole = response(200, gzip.compress(body), Content_Encoding="gzip")
    assert await fetched(answers(whole)) == PagePart(0, body)


async def test_chunks_are_joined() -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert await fetched(answers(head + b"2\r\nab\r\n2\r\nc\n\r\n0\r\n\r\n")) == PagePart(
        0, b"abc\n"
    )


async def test_one_connection_serves_all_requests() -> None:
    ports = set()

    async def handle(head: bytes, writer: asyncio.StreamWriter) -> None:
        ports.add(writer.get_extra_info("peername"))
        writer.write(response(404))

    async with client_of(handle) as client:
        for _ in range(3):
            await client.fetch(7, 0, AMPLE_SECONDS)
    assert len(ports) == 1


async def test_a_connection_that_the_server_closed_meanwhile_is_replaced() -> None:
    connections = 0

    async def handle(head: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        writer.write(response(404))
        writer.close()

    async with client_of(handle) as client:
        for _ in range(3):
            assert await client.fetch(7, 0, AMPLE_SECONDS) == PagePart(0)
    assert connections == 3


async def test_a_body_of_unknown_length_ends_with_the_connection() -> None:
    async def handle(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nabc\n")
        writer.close()

    assert await fetched(handle) == PagePart(0, b"abc\n", is_complete=False)


async def test_a_gzip_bomb_is_decompressed_up_to_the_bound() -> None:
    bomb = gzip.compress(b"\n" * (64 * 2**20))
    tracemalloc.start()
    try:
        part = await fetched(answers(response(200, bomb, Content_Encoding="gzip")))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (len(part.body), part.is_complete) == (MAX_FETCH_BYTES, False)
    assert peak < 16 * MAX_FETCH_BYTES


async def test_an_endless_body_is_read_up_to_the_bound() -> None:
    sent = 0

    async def handle(head: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"\n" * 65536)
            sent += 65536
            await writer.drain()

    part = await fetched(handle)
    assert (len(part.body), part.is_complete) == (MAX_FETCH_BYTES, False)


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 404 Not Found\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(b"")[:10],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ",
    ],
    ids=["not found", "empty blocks", "trailer"],
)
async def test_bytes_that_are_no_page_are_bounded_too(head: bytes) -> None:
    """The second is a gzip stream of empty stored blocks: it never decompresses to anything."""
    filler = b"\0\0\0\xff\xff" * 13_000 if b"gzip" in head else b"x" * 65_000

    async def handle(_head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while True:
            writer.write(filler)
            await writer.drain()

    part = await fetched(handle)
    assert part.body == b""


async def test_a_slow_server_has_until_the_deadline() -> None:
    async def handle(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc\n")
        await asyncio.Event().wait()

    part = await fetched(handle, seconds=BRIEF_SECONDS)
    assert part == PagePart(0, b"abc\n", is_complete=False, timed_out=True)


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\n\r\n"])
async def test_a_server_that_sends_nothing_more_is_left(sent: bytes) -> None:
    async def handle(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(sent)
        await asyncio.Event().wait()

    assert await problem(handle, seconds=BRIEF_SECONDS) == TransferProblem.TIMED_OUT


@pytest.mark.parametrize(
    ("answer", "offset", "expected"),
    [
        (response(302, Location="/elsewhere"), 0, TransferProblem.REDIRECTED),
        (response(301, Location="/elsewhere"), 5, TransferProblem.REDIRECTED),
        (response(500), 0, TransferProblem.UNEXPECTED_STATUS),
        (response(503), 5, TransferProblem.UNEXPECTED_STATUS),
        (response(206, b"abc\n"), 0, TransferProblem.UNEXPECTED_STATUS),
        (response(200, b"abc\n"), 5, TransferProblem.RANGE_IGNORED),
        (response(206, b"abc\n"), 5, TransferProblem.WRONG_RANGE),
        (
            response(206, b"abc\n", Content_Range="bytes 4-7/8"),
            *(5, TransferProblem.WRONG_RANGE),
        ),
        (response(200, b"abc\n", Content_Encoding="br"), 0, TransferProblem.WRONG_ENCODING),
        (response(200, b"abc\n", Content_Encoding="gzip"), 0, TransferProblem.WRONG_ENCODING),
        (
            response(206, b"a", Content_Range="bytes 5-5/6", Content_Encoding="gzip"),
            *(5, TransferProblem.WRONG_ENCODING),
        ),
        (b"SSH-2.0-OpenSSH_9.6\r\n", 0, TransferProblem.MALFORMED_RESPONSE),
        (
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nx",
            *(0, TransferProblem.MALFORMED_RESPONSE),
        ),
        (
            b"HTTP/1.1 200 OK\r\nX: " + b"x" * (2 * MAX_HEAD_BYTES + 200_000),
            *(0, TransferProblem.MALFORMED_RESPONSE),
        ),
    ],
)
async def test_what_is_no_page_is_named(answer: bytes, offset: int, expected: str) -> None:
    assert await problem(answers(answer), offset) == expected


async def test_an_early_response_before_the_real_one_is_skipped() -> None:
    early = b"HTTP/1.1 103 Early Hints\r\n\r\n"
    assert await fetched(answers(early + response(200, b"a\n"))) == PagePart(0, b"a\n")


async def test_a_server_that_hangs_up_is_named() -> None:
    async def handle(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    assert await problem(handle) == TransferProblem.CONNECTION_LOST


async def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(TransferError) as caught:
        await PageClient("127.0.0.1", port).fetch(7, 0, AMPLE_SECONDS)
    assert caught.value.problem is TransferProblem.CONNECT_FAILED


async def test_after_a_failure_the_next_request_is_a_new_one() -> None:
    garbage = response(200, b"abc\n") + b"left over from an answer that nobody asked for"
    async with client_of(answers(response(500, b"x"), garbage, response(404))) as client:
        with pytest.raises(TransferError):
            await client.fetch(7, 0, AMPLE_SECONDS)
        # What follows an answer is not taken for the next one.
        with pytest.raises(TransferError):
            await client.fetch(7, 0, AMPLE_SECONDS)
        assert await client.fetch(7, 0, AMPLE_SECONDS) == PagePart(0)


def test_addresses_of_both_kinds_are_written_as_in_a_url() -> None:
    assert PageClient("10.0.0.1", 80).address == "10.0.0.1:80"
    assert PageClient("2001:db8::1", 80).address == "[2001:db8::1]:80"
