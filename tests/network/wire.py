"""What another client or an attacker would say to the facilitator and the miner, by hand."""

import asyncio
import contextlib
import json
import secrets
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from compute_horde import signing
from compute_horde.hardware import ExecutorClass
from compute_horde.protocol.binding import RequestBinding
from compute_horde.protocol.handshake import CHALLENGE_HEADER, FacilitatorLogin
from compute_horde.protocol.job import SIGNED_KEYS, JobOffered, Timing
from compute_horde.protocol.message import Message
from compute_horde.receipts import JobStartedReceipt
from compute_horde.signing import Signer
from compute_horde.vocabulary import SignatureScope
from tests.network.running import BUSYBOX, Running

HEAR_SECONDS = 60
Frame = str | bytes | Iterable[str] | Message
JOBS = "/api/v1/job-docker/"


@asynccontextmanager
async def logged_in(network: Running, key: Signer) -> AsyncIterator[httpx.AsyncClient]:
    """A plain HTTP client with the token of this hotkey."""
    async with httpx.AsyncClient(base_url=network.env["FACILITATOR_URL"], timeout=60) as client:
        nonce = (await client.get("/auth/nonce")).json()["nonce"]
        signature = bytes(key.sign(nonce.encode())).hex()
        login = {"hotkey": key.ss58_address, "signature": signature, "nonce": nonce}
        answer = await client.post("/auth/login", json=login)
        answer.raise_for_status()
        client.headers["Authorization"] = f"Bearer {answer.json()['token']}"
        yield client


def job_body(network: Running, **changes: Any) -> dict[str, Any]:
    """What asks for a small job, in the key order of the published SDK."""
    return {
        "target_validator_hotkey": network.env["VALIDATOR_HOTKEY"],
        "executor_class": "always_on.test",
        "docker_image": BUSYBOX,
        "job_namespace": "SN12.tests",
        "args": ["echo", "hi"],
        "env": {},
        "use_gpu": True,
        "artifacts_dir": None,
        "on_trusted_miner": False,
        "download_time_limit": 5,
        "execution_time_limit": 5,
        "streaming_start_time_limit": 5,
        "upload_time_limit": 5,
    } | changes


def signed(body: dict[str, Any], key: Signer, *, at_ns: int | None = None) -> dict[str, str]:
    """The headers that prove that `key` asked for this (protocol §2.3 and §2.4)."""
    fields = {name: body.get(name) for name in SIGNED_KEYS}
    fields |= {"artifacts_dir": body.get("artifacts_dir") or ""}
    fields |= {name: body.get(name, []) for name in ("volumes", "uploads")}
    text = json.dumps(fields, separators=(",", ":"), ensure_ascii=False)
    signature = signing.sign_request(
        key,
        text,
        timestamp_ns=at_ns or time.time_ns(),
        scope=SignatureScope.SIGNED_FIELDS,
    )
    # The same user also uses the SDK, which binds its requests.
    binding = RequestBinding.signed(
        key,
        target_validator=body["target_validator_hotkey"],
        nonce=secrets.token_urlsafe(24),
        request_digest=signing.request_digest(text, signature.timestamp_ns),
        job_namespace=body.get("job_namespace"),
    )
    return binding.headers() | {
        "X-CH-Signature-Type": signature.signature_type,
        "X-CH-Signatory": signature.signatory,
        "X-CH-Timestamp-NS": str(signature.timestamp_ns),
        "X-CH-Signature": signature.signature,
        "X-CH-Signature-Scope": str(signature.signature_scope),
    }


def facilitator_url(network: Running) -> str:
    """Where validators connect."""
    return network.env["FACILITATOR_URL"].replace("http", "ws", 1) + "/ws/v0/"


def miner_url(network: Running, end: str) -> str:
    """Where validators (`validator_interface/HOTKEY`) and executors connect."""
    return f"ws://{network.env['MINER_ADDRESS']}:{network.env['MINER_PORT']}/v0.1/{end}"


class Talk:
    """A websocket on which anything may be said."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    def login(self, key: Signer) -> FacilitatorLogin:
        """The answer to the challenge with which the facilitator opened this websocket."""
        assert self.socket.response
        return FacilitatorLogin.answering(
            key,
            self.socket.response.headers[CHALLENGE_HEADER],
            audience="127.0.0.1",
            timestamp=int(time.time()),
        )

    async def receive(self) -> dict[str, Any]:
        async with asyncio.timeout(HEAR_SECONDS):
            heard = json.loads(await self.socket.recv())
        assert isinstance(heard, dict)
        return heard

    async def ask(self, frame: Frame) -> dict[str, Any]:
        """What is answered to a frame."""
        await self.socket.send(frame.encode() if isinstance(frame, Message) else frame)
        return await self.receive()

    async def end(self, *frames: Frame) -> int:
        """The code with which the other end closes; 1006 when it just hangs up."""
        with contextlib.suppress(ConnectionClosed):
            for frame in frames:
                await self.ask(frame)
            while True:
                await self.receive()
        return self.socket.close_code or 1006


@asynccontextmanager
async def talk(url: str) -> AsyncIterator[Talk]:
    """An open websocket."""
    async with connect(url, compression=None, proxy=None, max_size=None) as socket:
        yield Talk(socket)


def offered(network: Running, validator: Signer, **changes: Any) -> dict[str, Any]:
    """A well-signed offer of a job to the miner, changed before it was signed."""
    uuid = str(uuid4())
    receipt = JobStartedReceipt(
        job_uuid=uuid,
        miner_hotkey=network.env["MINER_HOTKEY"],
        validator_hotkey=validator.ss58_address,
        timestamp=datetime.now(UTC).replace(microsecond=0),
        executor_class=ExecutorClass.always_on__test,
        is_organic=True,
        ttl=7,
    )
    offer = JobOffered(
        job_uuid=uuid,
        executor_class=receipt.executor_class,
        docker_image=BUSYBOX,
        job_started_receipt_payload=receipt,
        job_started_receipt_signature=signing.signed_hex(validator, receipt.blob()),
        executor_timing=Timing(
            allowed_leeway=1,
            download_time_limit=1,
            execution_time_limit=1,
            upload_time_limit=1,
            streaming_start_time_limit=1,
        ),
    )
    message = offer.model_dump(mode="json") | changes
    text = signing.validator_signed_text(message)
    return message | {"validator_signature": signing.signed_hex(validator, text)} | changes


def details(answer: dict[str, Any]) -> str:
    """The text of an error that the miner sent."""
    assert answer["message_type"] == "GenericError", answer
    return str(answer["details"])
