"""A validator, as a facilitator in this process sees it."""

import json
import time
from typing import Any

from asgiref.testing import ApplicationCommunicator
from bittensor_core import Keypair

from compute_horde.django import guarded_websocket
from compute_horde.protocol.handshake import CHALLENGE_HEADER, FacilitatorLogin
from compute_horde.vocabulary import Extension
from facilitator.asgi import application


class ValidatorAtFacilitator:
    """A validator's connection."""

    def __init__(
        self,
        keypair: Keypair,
        extensions: str = "",
        *,
        is_published: bool = False,
        address: str = "",
        is_there: bool = True,
    ) -> None:
        self.keypair = keypair
        headers = [(b"x-validator-extensions", extensions.encode())] if extensions else []
        scope = {"type": "websocket", "path": "/ws/v0/", "headers": headers, "subprotocols": []}
        scope["client"] = (address, 4444)
        self.scope = scope
        scope[guarded_websocket.PING] = self._answers_ping
        self.is_there = is_there
        self.socket = ApplicationCommunicator(application, scope)
        self.announces = extensions
        self.is_open = False
        self.is_published = is_published

    async def _answers_ping(self, seconds: float) -> bool:
        return self.is_there

    async def open(self) -> "ValidatorAtFacilitator":
        await self.socket.send_input({"type": "websocket.connect"})
        accepted = await self.socket.receive_output(30)
        assert accepted["type"] == "websocket.accept"
        headers = dict(accepted["headers"])
        self.nonce = headers[CHALLENGE_HEADER.lower().encode()].decode()
        self.is_open = True
        return self

    async def log_in(self) -> "ValidatorAtFacilitator":
        await self.open()
        await self.send(json.loads(self.login().encode()))
        answer = await self.receive()
        assert answer.pop("extensions", None) == (list(Extension) if self.announces else None)
        assert answer == {"status": "success", "errors": []}
        return self

    def login(self, **changes: Any) -> FacilitatorLogin:
        """Our login: by challenge, or the published one."""
        if self.is_published:
            return FacilitatorLogin.signed(self.keypair)
        challenge = {"nonce": self.nonce, "audience": "testserver", "timestamp": int(time.time())}
        return FacilitatorLogin.answering(self.keypair, **challenge | changes)

    async def send(self, message: dict[str, Any] | str) -> None:
        text = message if isinstance(message, str) else json.dumps(message)
        await self.socket.send_input({"type": "websocket.receive", "text": text})

    async def receive(self) -> Any:
        output = await self.socket.receive_output(30)
        assert output["type"] == "websocket.send", output
        return json.loads(output["text"])

    async def closed(self) -> int:
        output = await self.socket.receive_output(30)
        assert output["type"] == "websocket.close", output
        return output["code"]

    async def receives_nothing(self) -> bool:
        return await self.socket.receive_nothing(0.2)

    async def report(self, uuid: str, status: str, **metadata: Any) -> Any:
        await self.send_status(uuid, status, **metadata)
        return await self.receive()

    async def send_status(self, uuid: str, status: str, **metadata: Any) -> None:
        await self.send(
            {
                "message_type": "V0JobStatusUpdate",
                "uuid": uuid,
                "status": status,
                "metadata": metadata or None,
            }
        )

    async def leave(self) -> None:
        if self.is_open:
            self.is_open = False
            await self.socket.send_input({"type": "websocket.disconnect", "code": 1006})
            await self.socket.wait(30)


def result(stdout: str = "hi\n", **more: Any) -> dict[str, Any]:
    return {"miner_response": {"docker_process_stdout": stdout, "docker_process_stderr": ""} | more}
