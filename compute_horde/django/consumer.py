"""The server's end of a websocket that carries messages."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

from channels.consumer import get_handler_name
from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer

from compute_horde.errors import ProtocolError
from compute_horde.protocol.handshake import GenericError
from compute_horde.protocol.message import Link, Message

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

log = logging.getLogger(__name__)


class MessageConsumer(AsyncWebsocketConsumer):
    """Decodes frames of one link into messages for `handle`; complains about the others."""

    incoming: ClassVar[Link[Any]]

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Channels' loop without its layer, and without a visit to a thread for every event.

        The visit closes old database connections, of which a line opens none.
        """
        self.scope, self.base_send = scope, send
        try:
            while True:
                await self.dispatch(await receive())
        except StopConsumer:
            return

    async def dispatch(self, message: dict[str, Any]) -> None:
        """Call the method that an event is named after, such as `websocket_receive`."""
        await getattr(self, get_handler_name(message))(message)

    async def handle(self, message: Any) -> None:
        """Translate one message into one action."""
        raise NotImplementedError

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """One frame: heard, or answered with what is wrong with it."""
        try:
            message = self.incoming.decode(
                text_data if text_data is not None else bytes_data or b""
            )
            await self.handle(message)
        except ProtocolError as exc:
            await self.complain(exc)

    async def complain(self, problem: ProtocolError) -> None:
        """How this line tells a peer of its mistake; the connection stays open."""
        log.info("bad message", extra={"problem": str(problem), "line": self.incoming.name})
        await self.say(GenericError(details=str(problem)))

    async def say(self, message: Message) -> None:
        """Send one message; a peer that is gone is no error here, `disconnect` will tell."""
        try:
            await self.send(text_data=message.encode())
        except (RuntimeError, OSError):
            log.info("peer gone while speaking", extra={"line": self.incoming.name})

    async def websocket_disconnect(self, message: dict[str, Any]) -> None:
        """Channels' hook, without its groups: nothing here uses a channel layer."""
        await self.disconnect(message["code"])
        raise StopConsumer
