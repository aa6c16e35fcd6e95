"""The websocket client against a real server."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from compute_horde.adapters.websocket import ConnectionLostError, MessageSocket, open_socket
from compute_horde.errors import OutsideError, ProtocolError
from compute_horde.protocol.handshake import GenericError
from compute_horde.protocol.links import FACILITATOR_TO_VALIDATOR, MINER_TO_VALIDATOR
from compute_horde.protocol.message import FACILITATOR_FRAME_BYTES

HELLO = GenericError(details="hello")
Behaviour = Callable[[ServerConnection], Awaitable[None]]


@asynccontextmanager
async def peer(behaviour: Behaviour, **options: object) -> AsyncIterator[str]:
    """A server with this behaviour; yields its address."""
    async with serve(behaviour, "127.0.0.1", 0, **options) as server:
        port = server.sockets[0].getsockname()[1]
        yield f"ws://127.0.0.1:{port}/"


def sending(*frames: str | bytes, code: int = 1000) -> Behaviour:
    async def behaviour(connection: ServerConnection) -> None:
        for frame in frames:
            await connection.send(frame)
        await connection.close(code)

    return behaviour


async def test_a_message_crosses_in_both_directions():
    async def echo(connection: ServerConnection) -> None:
        async for frame in connection:
            assert isinstance(frame, str)
            await connection.send(frame)

    async with peer(echo) as url, open_socket(url, MINER_TO_VALIDATOR) as line:
        for text in ("hello", "ż" * 100_000):
            await line.send(GenericError(details=text))
            assert await line.receive() == GenericError(details=text)


@pytest.mark.parametrize("form", [str, str.encode], ids=["text", "binary"])
async def test_the_keep_alive_of_old_peers_is_not_heard(form):
    async with (
        peer(sending(form("PING"), HELLO.encode(), form("PING"))) as url,
        open_socket(url, MINER_TO_VALIDATOR) as line,
    ):
        assert await line.receive() == HELLO
        with pytest.raises(ConnectionLostError):
            await line.receive()


@pytest.mark.parametrize(
    "frame", ["nonsense", b"\xff\xff", "{}", '{"message_type":"V9"}', ""], ids=repr
)
async def test_a_bad_frame_is_told_and_the_next_one_heard(frame):
    async with (
        peer(sending(frame, HELLO.encode())) as url,
        open_socket(url, MINER_TO_VALIDATOR) as line,
    ):
        with pytest.raises(ProtocolError):
            await line.receive()
        assert await line.receive() == HELLO


async def test_bad_frames_are_skipped_with_a_note_while_listening(caplog):
    received = []
    async with (
        peer(sending("nonsense", HELLO.encode(), "PING", "{}", HELLO.encode())) as url,
        open_socket(url, MINER_TO_VALIDATOR) as line,
    ):
        with suppress(ConnectionLostError):
            async for message in line.listen():
                received.append(message)
    assert received == [HELLO, HELLO]
    assert [
        record.getMessage() for record in caplog.records if record.name.startswith("compute")
    ] == ["bad frame skipped"] * 2


async def test_an_oversized_frame_closes_the_line_and_says_why():
    seen: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def shout(connection: ServerConnection) -> None:
        await connection.send("x" * (FACILITATOR_FRAME_BYTES + 1))
        await connection.wait_closed()
        seen.set_result(connection.close_code)

    async with peer(shout) as url, open_socket(url, FACILITATOR_TO_VALIDATOR) as line:
        with pytest.raises(ConnectionLostError) as lost:
            await line.receive()
        assert await seen == 1009
        assert lost.value.code == 1009


async def test_a_frame_of_exactly_the_limit_is_read():
    padding = FACILITATOR_FRAME_BYTES - len('{"status":"success"}')
    frame = '{"status":"success"}' + " " * padding
    async with peer(sending(frame)) as url, open_socket(url, FACILITATOR_TO_VALIDATOR) as line:
        assert (await line.receive()).status == "success"


@pytest.mark.parametrize("code", [1000, 1001, 3000, 3001])
async def test_the_close_code_of_the_peer_is_kept(code):
    async with peer(sending(code=code)) as url, open_socket(url, FACILITATOR_TO_VALIDATOR) as line:
        with pytest.raises(ConnectionLostError, match=str(code)) as lost:
            await line.receive()
        assert lost.value.code == code
        with pytest.raises(ConnectionLostError) as lost:
            await line.send(HELLO)
        assert lost.value.code == code


async def test_a_peer_that_vanishes_leaves_no_code():
    async def vanish(connection: ServerConnection) -> None:
        connection.transport.abort()

    async with peer(vanish) as url, open_socket(url, MINER_TO_VALIDATOR) as line:
        with pytest.raises(ConnectionLostError, match="no goodbye") as lost:
            await line.receive()
        assert lost.value.code is None


async def test_what_was_said_before_the_close_is_still_heard():
    async with (
        peer(sending(*[HELLO.encode()] * 20)) as url,
        open_socket(url, MINER_TO_VALIDATOR) as line,
    ):
        await asyncio.sleep(0.05)
        for _ in range(20):
            assert await line.receive() == HELLO


async def test_headers_are_sent_and_no_compression_is_offered():
    seen: asyncio.Future[Request] = asyncio.get_running_loop().create_future()

    async def note(connection: ServerConnection) -> None:
        seen.set_result(connection.request)

    async with (
        peer(note) as url,
        open_socket(url, FACILITATOR_TO_VALIDATOR, headers={"X-Validator-Version": "7"}),
    ):
        request = await seen
    assert request.headers["X-Validator-Version"] == "7"
    assert "Sec-WebSocket-Extensions" not in request.headers


async def test_nobody_listening_is_a_lost_line():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        await refuses(f"ws://127.0.0.1:{closed.getsockname()[1]}/")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://127.0.0.1/",
        "ws://",
        "ws://127.0.0.1:99999/",
        "ws://127.0.0.1:x/",
        "ws://[::1/",
        "ws://nowhere.invalid/",
        "ws://a..b/",
        "ws://" + "a" * 70 + "/",
    ],
)
async def test_an_address_that_leads_nowhere_is_a_lost_line(url):
    await refuses(url)


@pytest.mark.parametrize("status", [403, 404, 500, 503])
async def test_a_refused_handshake_is_a_lost_line(status):
    def refuse(connection: ServerConnection, _: Request) -> Response:
        return connection.respond(status, "no\n")

    async with peer(sending(), process_request=refuse) as url:
        await refuses(url)


@pytest.mark.parametrize(
    "answer", [b"", b"SSH-2.0-x\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"\xff" * 99999]
)
async def test_a_peer_that_is_no_websocket_is_a_lost_line(answer):
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        await refuses(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/")


async def test_a_peer_that_never_answers_is_given_up():
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        await refuses(f"ws://127.0.0.1:{mute.getsockname()[1]}/", open_seconds=0.1)


async def test_an_error_of_ours_closes_the_line_and_goes_on():
    gone: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def wait(connection: ServerConnection) -> None:
        await connection.wait_closed()
        gone.set_result(connection.close_code)

    async with peer(wait) as url:
        with pytest.raises(ZeroDivisionError):
            await divide(url)
        assert await gone in {1000, 1011}


async def test_a_line_may_be_closed_twice():
    async with peer(sending()) as url, open_socket(url, MINER_TO_VALIDATOR) as line:
        await line.close()
        await line.close()
        with pytest.raises(ConnectionLostError):
            await line.receive()


async def divide(url: str) -> None:
    async with open_socket(url, MINER_TO_VALIDATOR) as line:
        assert isinstance(line, MessageSocket)
        _ = 1 / 0


async def refuses(url: str, open_seconds: float = 5) -> None:
    with pytest.raises(ConnectionLostError, match="could not connect") as lost:
        async with open_socket(url, MINER_TO_VALIDATOR, open_seconds=open_seconds):
            pytest.fail("the line opened")
    assert lost.value.code is None
    assert isinstance(lost.value, OutsideError)


@asynccontextmanager
async def deaf_peer() -> AsyncIterator[str]:
    """A server that stops reading from its connections."""
    over = asyncio.Event()

    async def behaviour(connection: ServerConnection) -> None:
        connection.transport.pause_reading()
        await over.wait()
        connection.transport.abort()

    async with peer(behaviour) as url:
        try:
            yield url
        finally:
            over.set()


async def test_a_peer_that_takes_nothing_is_given_up():
    async with (
        deaf_peer() as url,
        asyncio.timeout(10),
        open_socket(url, MINER_TO_VALIDATOR) as line,
    ):
        with pytest.raises(ConnectionLostError, match="takes nothing"):
            await line.send(GenericError(details="x" * 2**25), seconds=0.2)
        with pytest.raises(ConnectionLostError):
            await line.receive()


async def test_hanging_up_does_not_wait_for_a_peer_that_takes_nothing():
    async with deaf_peer() as url:
        async with asyncio.timeout(10):
            async with open_socket(url, MINER_TO_VALIDATOR) as line:
                speaking = asyncio.create_task(line.send(GenericError(details="x" * 2**25)))
                await asyncio.sleep(0.2)
            with suppress(ConnectionLostError):
                await speaking


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_peer_cannot_redirect_us_to_another_server(status):
    reached = []

    async def other(connection: ServerConnection) -> None:
        reached.append(connection.request.path)

    async with serve(other, "127.0.0.2", 0) as server:
        target = f"ws://127.0.0.2:{server.sockets[0].getsockname()[1]}"

        def redirect(connection: ServerConnection, request: Request) -> Response:
            answer = connection.respond(status, "elsewhere")
            answer.headers["Location"] = f"{target}/internal"
            return answer

        async with peer(other, process_request=redirect) as url:
            with pytest.raises(ConnectionLostError, match="redirects") as lost:
                async with open_socket(url, MINER_TO_VALIDATOR):
                    pass
    assert reached == []
    assert target in str(lost.value)
    assert "internal" not in str(lost.value)
