"""A user of a facilitator's API, who behaves like the published SDK."""

import json
import time
from functools import partial
from typing import Any

from bittensor_core import Keypair
from django.test import AsyncClient

from compute_horde import signing
from compute_horde.vocabulary import SignatureScope
from facilitator.accounts import auth as login
from tests.compute_horde.vectors import KEYS

SIGNED = (
    *("executor_class", "docker_image", "args", "env", "use_gpu", "artifacts_dir"),
    *("on_trusted_miner", "download_time_limit", "execution_time_limit", "upload_time_limit"),
    *("streaming_start_time_limit", "streaming_details", "volumes", "uploads"),
)
MISSING = {"streaming_details": None, "volumes": [], "uploads": []}


class User:
    """A user with a token."""

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
        return self.sign(self.signed_text(body), SignatureScope.SIGNED_FIELDS, timestamp_ns)

    def signed_text(self, body: dict[str, Any]) -> str:
        """What the published SDK signs of a body."""
        fields = {key: body.get(key, MISSING.get(key)) for key in SIGNED}
        fields["artifacts_dir"] = fields["artifacts_dir"] or ""
        if fields["streaming_details"]:
            fields["streaming_details"] = {**fields["streaming_details"], "executor_ip": None}
        return json.dumps(fields, separators=(",", ":"), ensure_ascii=False)

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
