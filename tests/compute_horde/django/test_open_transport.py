"""Writes after a client has left are dropped, as nobody can read them."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from compute_horde.django.open_transport import OpenTransport


@pytest.fixture
async def ends() -> AsyncIterator[tuple[OpenTransport, asyncio.StreamReader]]:
    """A server's wrapped transport, and what its client reads."""
    served: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()
    server = await asyncio.start_server(lambda _, writer: served.put_nowait(writer), "127.0.0.1")
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    other = await served.get()
    yield OpenTransport(other.transport), reader
    for one in (writer, other):
        one.close()
    server.close()
    await server.wait_closed()


async def test_what_is_written_arrives_until_the_connection_is_closed(ends):
    transport, reader = ends
    transport.write(b"first")
    assert not transport.is_closing()
    transport.close()
    assert transport.is_closing()
    transport.write(b"too late")
    assert await reader.read() == b"first"
