"""Websocket consumers: messages reach `handle`, anything else is reported to the peer."""

from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator

from compute_horde.django.consumer import MessageConsumer
from compute_horde.errors import BadSignature, ProtocolError
from compute_horde.protocol import links
from compute_horde.protocol.capacity import MainHotkey
from compute_horde.protocol.handshake import GenericError, Response


class Echo(MessageConsumer):
    """Echoes messages; a hotkey `forged` is a bad signature, `bug` raises an error."""

    incoming = links.VALIDATOR_TO_MINER
    left: list[int]

    async def handle(self, message: Any) -> None:
        if message == MainHotkey(main_hotkey="forged"):
            raise BadSignature("not yours")
        if message == MainHotkey(main_hotkey="bug"):
            raise ZeroDivisionError
        await self.send_message(message)

    async def disconnect(self, code: int) -> None:
        self.scope["left"].append(code)


class Formal(Echo):
    """Reports errors in its own form and closes."""

    async def complain(self, problem: ProtocolError) -> None:
        await self.send_message(Response.refusal("protocol", str(problem)))
        await self.close(3000)


class Peer(ApplicationCommunicator):
    """The client of a websocket."""

    async def send(self, frame: str | bytes) -> None:
        form = "text" if isinstance(frame, str) else "bytes"
        await self.send_input({"type": "websocket.receive", form: frame})

    async def receive(self) -> str:
        sent = await self.receive_output(30)
        assert sent["type"] == "websocket.send"
        return sent["text"]

    async def leave(self, code: int = 1000) -> None:
        await self.send_input({"type": "websocket.disconnect", "code": code})
        await self.wait()


async def line(consumer: type[MessageConsumer]) -> Peer:
    opened = Peer(consumer.as_asgi(), {"type": "websocket", "path": "/", "left": []})
    await opened.send_input({"type": "websocket.connect"})
    assert (await opened.receive_output(30))["type"] == "websocket.accept"
    return opened


@pytest.mark.parametrize("form", [str, str.encode], ids=["text", "binary"])
async def test_a_message_in_either_form_of_frame_is_handled(form):
    opened = await line(Echo)
    hello = GenericError(details="hello").encode()
    await opened.send(form(hello))
    assert await opened.receive() == hello
    await opened.leave(1001)
    assert opened.scope["left"] == [1001]


@pytest.mark.parametrize(
    "frame", ["", "nonsense", "PING", "{}", '{"message_type":"V9"}', "\ud800"], ids=ascii
)
async def test_a_bad_frame_is_complained_about_and_the_next_one_handled(frame):
    opened = await line(Echo)
    await opened.send(frame)
    complaint = links.MINER_TO_VALIDATOR.decode(await opened.receive())
    assert complaint.details.startswith("Malformed message on validator -> miner")
    await opened.send(GenericError().encode())
    assert await opened.receive() == GenericError().encode()
    await opened.leave()


async def test_a_message_that_may_not_be_is_complained_about_too():
    opened = await line(Echo)
    await opened.send(MainHotkey(main_hotkey="forged").encode())
    assert await opened.receive() == GenericError(details="not yours").encode()
    await opened.leave()


async def test_a_line_may_complain_in_its_own_form():
    opened = await line(Formal)
    await opened.send("nonsense")
    assert '"status":"error"' in await opened.receive()
    assert await opened.receive_output(30) == {"type": "websocket.close", "code": 3000}


async def test_a_bug_of_ours_is_not_blamed_on_the_peer():
    opened = await line(Echo)
    await opened.send(MainHotkey(main_hotkey="bug").encode())
    with pytest.raises(ZeroDivisionError):
        await opened.receive()


@pytest.mark.parametrize("error", [RuntimeError, OSError])
async def test_speaking_to_a_peer_that_left_is_no_error(error):
    tried: list[dict[str, Any]] = []

    async def gone(event: dict[str, Any]) -> None:
        tried.append(event)
        raise error

    consumer = Echo()
    consumer.base_send = gone
    await consumer.send_message(GenericError())
    assert [event["type"] for event in tried] == ["websocket.send"]
