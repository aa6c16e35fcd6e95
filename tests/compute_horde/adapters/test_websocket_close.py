"""The end of a websocket: at once, whatever was not read, and also when it is cancelled."""

import asyncio
import time

import pytest
from websockets.asyncio.server import ServerConnection

from compute_horde.adapters.websocket import (
    CLOSE_SECONDS,
    ConnectionLostError,
    MessageSocket,
    open_socket,
)
from compute_horde.protocol import links
from tests.compute_horde.adapters.test_websocket import HELLO, peer


@pytest.mark.parametrize("is_read_meanwhile", [False, True])
async def test_unread_messages_do_not_hold_up_the_close(is_read_meanwhile):
    ended = asyncio.get_running_loop().create_future()

    async def talk(connection: ServerConnection) -> None:
        for _ in range(100):
            await connection.send(HELLO.encode())
        await connection.wait_closed()
        ended.set_result(connection.close_code)

    async with peer(talk) as url:
        async with open_socket(url, links.MINER_TO_VALIDATOR) as line:
            await line.receive()
            hearing = asyncio.create_task(drain(line)) if is_read_meanwhile else None
            await asyncio.sleep(0)
            began = time.monotonic()
            await line.close()
            # The library gives up after this time.
            assert time.monotonic() - began < CLOSE_SECONDS
        assert await ended == 1000
        if hearing:
            with pytest.raises(ConnectionLostError):
                await hearing


async def test_who_reads_while_the_line_is_closed_loses_it():
    async def wait(connection: ServerConnection) -> None:
        await connection.wait_closed()

    async with peer(wait) as url, open_socket(url, links.MINER_TO_VALIDATOR) as line:
        closing = asyncio.create_task(line.close())
        await asyncio.sleep(0)
        with pytest.raises(ConnectionLostError):
            await line.receive()
        await closing


async def drain(line: MessageSocket) -> None:
    while True:
        await line.receive()


async def test_a_close_that_is_cancelled_leaves_no_connection():
    async def deaf(connection: ServerConnection) -> None:
        connection.transport.pause_reading()
        await connection.wait_closed()

    async with (
        peer(deaf, close_timeout=0.1) as url,
        open_socket(url, links.MINER_TO_VALIDATOR) as message_socket,
    ):
        closing = asyncio.create_task(message_socket.close())
        await asyncio.sleep(0.05)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert message_socket._socket.transport.is_closing()
