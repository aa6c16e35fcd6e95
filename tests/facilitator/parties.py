"""The parties around a facilitator: users over HTTP, validators over websockets."""

import json
import time
from functools import partial
from typing import Any

from asgiref.testing import ApplicationCommunicator
from bittensor_core import Keypair
from django.test import AsyncClient

from compute_horde import signing
from compute_horde.protocol.handshake import FacilitatorLogin
from compute_horde.vocabulary import Extension, SignatureScope
from facilitator import login
from facilitator.asgi import application
from tests.compute_horde.vectors import KEYS

SIGNED = (
    *("executor_class", "docker_image", "args", "env", "use_gpu", "artifacts_dir"),
    *("on_trusted_miner", "download_time_limit", "execution_time_limit", "upload_time_limit"),
    *("streaming_start_time_limit", "streaming_details", "volumes", "uploads"),
)
MISSING = {"streaming_details": None, "volumes": [], "uploads": []}


class User:
    """A user with a token, as the published SDK behaves."""

    def __init__(self, keypair: Keypair) -> None:
        self.keypair, self.client = keypair, AsyncClient()
        self.hotkey = keypair.ss58_address
        self.token = login.token(self.hotkey, now=int(time.time()))

    @property
    def auth(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def sign(self, payload: Any, scope: SignatureScope, timestamp_ns: int = 0) -> dict[str, str]:
        signed = signing.sign_request(
            self.keypair, payload, timestamp_ns=timestamp_ns or time.time_ns(), scope=scope
        )
        return {
            "X-CH-Signature-Type": signed.signature_type,
            "X-CH-Signatory": signed.signatory,
            "X-CH-Timestamp-NS": str(signed.timestamp_ns),
            "X-CH-Signature": signed.signature,
            "X-CH-Signature-Scope": str(signed.signature_scope),
        }

    def sign_job(self, body: dict[str, Any], timestamp_ns: int = 0) -> dict[str, str]:
        fields = {key: body.get(key, MISSING.get(key)) for key in SIGNED}
        fields["artifacts_dir"] = fields["artifacts_dir"] or ""
        if fields["streaming_details"]:
            fields["streaming_details"] = {**fields["streaming_details"], "executor_ip": None}
        text = json.dumps(fields, separators=(",", ":"), ensure_ascii=False)
        return self.sign(text, SignatureScope.SIGNED_FIELDS, timestamp_ns)

    async def post(self, path: str, body: Any, headers: dict[str, str] | None = None) -> Any:
        text = body if isinstance(body, str | bytes) else json.dumps(body, separators=(",", ":"))
        return await self.client.post(
            path, text, content_type="application/json", headers=self.auth | (headers or {})
        )

    async def get(self, path: str, headers: dict[str, str] | None = None) -> Any:
        answer = await self.client.get(path, headers=self.auth | (headers or {}))
        if answer.streaming and answer.headers["Content-Type"] == "application/json":
            text = b"".join([part async for part in answer.streaming_content])
            answer.json = partial(json.loads, text)
        return answer

    async def create(self, headers: dict[str, str] | None = None, **changes: Any) -> Any:
        body = job_body() | changes
        return await self.post("/api/v1/job-docker/", body, self.sign_job(body) | (headers or {}))

    async def job(self, uuid: str) -> dict[str, Any]:
        return (await self.get(f"/api/v1/jobs/{uuid}/")).json()


class Line:
    """A validator's connection."""

    def __init__(self, keypair: Keypair, extensions: str = "") -> None:
        self.keypair = keypair
        headers = [(b"x-validator-extensions", extensions.encode())] if extensions else []
        scope = {"type": "websocket", "path": "/ws/v0/", "headers": headers, "subprotocols": []}
        self.socket = ApplicationCommunicator(application, scope)
        self.announces = extensions
        self.is_open = False

    async def open(self) -> "Line":
        await self.socket.send_input({"type": "websocket.connect"})
        assert (await self.socket.receive_output(5))["type"] == "websocket.accept"
        self.is_open = True
        return self

    async def log_in(self) -> "Line":
        await self.open()
        await self.say(json.loads(FacilitatorLogin.signed(self.keypair).encode()))
        answer = await self.hear()
        assert answer.pop("extensions", None) == (list(Extension) if self.announces else None)
        assert answer == {"status": "success", "errors": []}
        return self

    async def say(self, message: dict[str, Any] | str) -> None:
        text = message if isinstance(message, str) else json.dumps(message)
        await self.socket.send_input({"type": "websocket.receive", "text": text})

    async def hear(self) -> Any:
        output = await self.socket.receive_output(5)
        assert output["type"] == "websocket.send", output
        return json.loads(output["text"])

    async def closed(self) -> int:
        output = await self.socket.receive_output(5)
        assert output["type"] == "websocket.close", output
        return output["code"]

    async def hears_nothing(self) -> bool:
        return await self.socket.receive_nothing(0.2)

    async def report(self, uuid: str, status: str, **metadata: Any) -> Any:
        await self.tell(uuid, status, **metadata)
        return await self.hear()

    async def tell(self, uuid: str, status: str, **metadata: Any) -> None:
        await self.say(
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
            await self.socket.wait(5)


def job_body() -> dict[str, Any]:
    return {
        "target_validator_hotkey": KEYS["validator"].ss58_address,
        "executor_class": "always_on.test",
        "docker_image": "ubuntu:22.04",
        "job_namespace": "SN12.0",
        "args": ["echo", "hi"],
        "env": {"B": "2", "A": "1"},
        "use_gpu": True,
        "artifacts_dir": None,
        "on_trusted_miner": False,
        "download_time_limit": 10,
        "execution_time_limit": 20,
        "streaming_start_time_limit": 5,
        "upload_time_limit": 10,
    }


def result(stdout: str = "hi\n", **more: Any) -> dict[str, Any]:
    return {"miner_response": {"docker_process_stdout": stdout, "docker_process_stderr": ""} | more}
