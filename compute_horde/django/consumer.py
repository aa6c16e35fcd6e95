"""Base class of websocket consumers that exchange messages."""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, cast

from asgiref.typing import ASGIReceiveCallable, ASGISendCallable, WebSocketDisconnectEvent
from channels.consumer import get_handler_name
from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer

from compute_horde.errors import ProtocolError
from compute_horde.protocol.handshake import GenericError
from compute_horde.protocol.message import Link, Message

if TYPE_CHECKING:
    from channels.consumer import _ChannelScope

log = logging.getLogger(__name__)


class MessageConsumer(AsyncWebsocketConsumer):
    """Decodes frames of one link into messages for `handle`; invalid ones go to `complain`."""

    incoming: ClassVar[Link[Any]]

    async def __call__(
        self, scope: "_ChannelScope", receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        """The event loop of Channels, without a channel layer and without a thread per event.

        The thread would close old database connections, of which a consumer opens none.
        """
        self.scope, self.base_send = scope, send
        try:
            while True:
                await self.dispatch(await receive())
        except StopConsumer:
            return

    async def dispatch(self, message: Mapping[str, Any]) -> None:
        """Call the method that an event is named after, such as `websocket_receive`."""
        await getattr(self, get_handler_name(cast("dict[str, Any]", message)))(message)

    async def handle(self, message: Any) -> None:
        """Handle one message; raises `ProtocolError` when the peer may not send it."""
        raise NotImplementedError

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Handle one frame, or report to the peer what is wrong with it."""
        try:
            message = self.incoming.decode(
                text_data if text_data is not None else bytes_data or b""
            )
            await self.handle(message)
        except ProtocolError as exc:
            await self.complain(exc)

    async def complain(self, problem: ProtocolError) -> None:
        """Report a protocol error to the peer; the connection stays open."""
        log.info("bad message", extra={"problem": str(problem), "line": self.incoming.name})
        await self.send_message(GenericError(details=str(problem)))

    async def send_message(self, message: Message) -> None:
        """Send one message; a closed connection is not an error here: `disconnect` follows."""
        try:
            await self.send(text_data=message.encode())
        except (RuntimeError, OSError):
            log.info(
                "message not sent: the peer is disconnected", extra={"line": self.incoming.name}
            )

    async def websocket_disconnect(self, message: WebSocketDisconnectEvent) -> None:
        """The hook of Channels, without groups: there is no channel layer."""
        await self.disconnect(message["code"])
        raise StopConsumer
