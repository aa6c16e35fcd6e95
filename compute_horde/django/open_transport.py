"""A transport that ignores writes after the client has disconnected."""

import asyncio


class OpenTransport:
    """Wraps a response's transport: writes after a disconnect are ignored.

    uvloop raises an error once a write has failed; uvicorn is informed a moment later.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.close = transport.close
        self.is_closing = transport.is_closing

    def write(self, data: bytes) -> None:
        """Write `data`, unless the connection is closed."""
        if not self._transport.is_closing():
            self._transport.write(data)
