"""The websocket server's protocol, made wary of peers that only mean to fill our memory."""

from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

# All that a peer may send before it has shown who it is: a login and a job offered right after it.
STRANGER_BYTES = 2 * 2**20
# Of one message; peers that send messages whole need one.
MAX_PIECES = 4096
TOO_BIG = 1009
TRUST = "compute_horde.trust"


class WaryProtocol(WebSocketsSansIOProtocol):
    """Hears little from strangers, and nothing from peers that do not listen to our answers.

    The application ends the wariness by calling what the scope holds under `TRUST`.
    """

    _is_stranger = True
    _heard = 0

    def handle_connect(self, event: Any) -> None:
        super().handle_connect(event)
        if self.response.status_code == 101:
            self.scope[TRUST] = self._trust

    def data_received(self, data: bytes) -> None:
        if self._is_stranger:
            self._heard += len(data)
            if self._heard > STRANGER_BYTES:
                self._refuse(f"more than {STRANGER_BYTES} bytes before a login")
                return
        super().data_received(data)

    def handle_cont(self, event: Any) -> None:
        # Each piece costs some fifty bytes however empty it is.
        if len(self.frames) >= MAX_PIECES:
            self._refuse(f"a message in more than {MAX_PIECES} pieces")
            return
        super().handle_cont(event)

    def pause_writing(self) -> None:
        """Who does not read is not heard, since each ping asks for an answer that waits here."""
        super().pause_writing()
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        if not self.read_paused:
            self.transport.resume_reading()

    def _trust(self) -> None:
        self._is_stranger = False

    def _refuse(self, why: str) -> None:
        self.frames = []
        if not self.handshake_complete:
            self.transport.abort()
        elif not self.close_sent:
            self.conn.fail(TOO_BIG, why)
            self.handle_parser_exception()


def trust(scope: dict[str, Any]) -> None:
    """This peer has shown who it is."""
    if believe := scope.get(TRUST):
        believe()
