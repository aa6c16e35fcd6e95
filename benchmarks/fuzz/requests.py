"""Valid HTTP requests for the attackers to mutate, as (path, headers, body)."""

import json
import secrets
import time
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx

from compute_horde import signing
from compute_horde.protocol.job import SIGNED_KEYS
from compute_horde.signing import Signer
from compute_horde.vocabulary import SignatureScope

HttpRequest = tuple[str, dict[str, str], bytes]


def plain() -> HttpRequest:
    """A request that every server answers."""
    path = secrets.choice(("/health", "/version", "/admin/login/", "/static/admin/css/base.css"))
    return path, {"Accept-Encoding": "gzip"}, b""


@dataclass(frozen=True)
class User:
    """A user with a token of the facilitator."""

    key: Signer
    token: str
    validator: str

    @classmethod
    async def log_in(cls, key: Signer, env: dict[str, str]) -> "User":
        """Log in at the facilitator, which must allow this key."""
        async with httpx.AsyncClient(base_url=env["FACILITATOR_URL"], trust_env=False) as client:
            nonce = (await client.get("/auth/nonce")).json()["nonce"]
            signature = bytes(key.sign(nonce.encode())).hex()
            login = {"hotkey": key.ss58_address, "signature": signature, "nonce": nonce}
            answer = await client.post("/auth/login", json=login)
            answer.raise_for_status()
            return cls(key, answer.json()["token"], env["VALIDATOR_HOTKEY"])

    def job_request(self) -> HttpRequest:
        """A correctly signed request for a job."""
        body: dict[str, Any] = {
            "target_validator_hotkey": self.validator,
            "executor_class": "always_on.test",
            "docker_image": "computehorde/noop",
            "job_namespace": "SN12.fuzz",
            "args": ["echo", "hi"],
            "env": {"A": "b"},
            "use_gpu": True,
            "artifacts_dir": "/artifacts",
            "on_trusted_miner": False,
            "download_time_limit": 5,
            "execution_time_limit": 5,
            "streaming_start_time_limit": 5,
            "upload_time_limit": 5,
        }
        signed = {name: body.get(name) for name in SIGNED_KEYS} | {"volumes": [], "uploads": []}
        signature = signing.sign_request(
            self.key,
            json.dumps(signed, separators=(",", ":")),
            timestamp_ns=time.time_ns(),
            scope=SignatureScope.SIGNED_FIELDS,
        )
        headers = {
            "Authorization": f"Bearer {self.token}",
            "Content-Type": "application/json",
            "X-CH-Signature-Type": signature.signature_type,
            "X-CH-Signatory": signature.signatory,
            "X-CH-Timestamp-NS": str(signature.timestamp_ns),
            "X-CH-Signature": signature.signature,
            "X-CH-Signature-Scope": str(signature.signature_scope),
        }
        return "/api/v1/job-docker/", headers, json.dumps(body).encode()

    def other_request(self) -> HttpRequest:
        """A login, a query of jobs or logs, a cancellation, or a cheat report."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        uuid = str(uuid4())
        login = {"hotkey": self.key.ss58_address, "signature": "00" * 64, "nonce": "n"}
        report = {"job_uuid": uuid, "trusted_job_uuid": str(uuid4())}
        bodies: tuple[tuple[str, Any], ...] = (
            ("/auth/login", login),
            ("/api/v1/jobs/", None),
            (f"/api/v1/jobs/{uuid}/", None),
            (f"/api/v1/jobs/{uuid}/events", None),
            (f"/api/v1/jobs/{uuid}/logs", None),
            (f"/api/v1/jobs/{uuid}/cancel/", {"reason": "x"}),
            ("/api/v1/cheated-job/", report),
        )
        path, body = secrets.choice(bodies)
        return path, headers, json.dumps(body).encode() if body is not None else b""
