"""A scripted facilitator, as validators see it."""

from typing import Any

from websockets.asyncio.server import ServerConnection

from compute_horde.protocol.handshake import CHALLENGE_HEADER, FacilitatorLogin, Response
from compute_horde.protocol.links import VALIDATOR_TO_FACILITATOR
from compute_horde.protocol.status import StatusReported
from tests.peers.keys import VALIDATOR
from tests.peers.websocket_server import WebSocketPeer


class FacilitatorPeer(WebSocketPeer):
    """A facilitator that answers every status with success while `answers` is true."""

    def __init__(self) -> None:
        super().__init__()
        self.answers = True
        self.extensions: tuple[str, ...] = ()
        self.refusal: Response | None = None
        # The challenge offered at login; None like published facilitators.
        self.challenge: str | None = None
        self.logins_received: list[FacilitatorLogin] = []

    def _answer_opening(self, connection: Any, request: Any, response: Any) -> None:
        if self.challenge:
            response.headers[CHALLENGE_HEADER] = self.challenge

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws/v0/"

    async def serve(self, socket: ServerConnection) -> None:
        login = VALIDATOR_TO_FACILITATOR.decode(await socket.recv())
        assert isinstance(login, FacilitatorLogin)
        self.logins_received.append(login)
        assert login.verify() == VALIDATOR.ss58_address
        if self.refusal:
            await socket.send(self.refusal.encode())
            await socket.close(3001)
            async with self._news:
                self._news.notify_all()
            return
        assert socket.request is not None
        self.announced = socket.request.headers.get("X-Validator-Extensions", "")
        await socket.send(Response(status="success", extensions=self.extensions).encode())
        await self._logged_in()
        async for frame in socket:
            message = VALIDATOR_TO_FACILITATOR.decode(frame)
            await self._note(message)
            if isinstance(message, StatusReported) and self.answers:
                await socket.send(Response(status="success").encode())

    def states(self, uuid: str) -> list[str]:
        return [str(report.status) for report in self.all(StatusReported) if report.uuid == uuid]

    async def receives_end(self, uuid: str) -> StatusReported:
        """The last status of a job."""
        ends = {"completed", "failed", "horde_failed", "rejected"}

        def end() -> StatusReported | None:
            received = [one for one in self.all(StatusReported) if one.uuid == uuid]
            return next((one for one in received if one.status in ends), None)

        return await self.until(end)
