"""Requests to the facilitator written by hand, as another client or an attacker would."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from compute_horde import signing
from compute_horde.protocol.job import SIGNED_KEYS
from compute_horde.signing import Signer
from compute_horde.vocabulary import SignatureScope
from tests.network.running import BUSYBOX, Running

JOBS = "/api/v1/job-docker/"


@asynccontextmanager
async def logged_in(network: Running, key: Signer) -> AsyncIterator[httpx.AsyncClient]:
    """A plain HTTP client with the token of this hotkey."""
    async with httpx.AsyncClient(base_url=network.env["FACILITATOR_URL"], timeout=10) as client:
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
    signature = signing.sign_request(
        key,
        json.dumps(fields, separators=(",", ":"), ensure_ascii=False),
        timestamp_ns=at_ns or time.time_ns(),
        scope=SignatureScope.SIGNED_FIELDS,
    )
    return {
        "X-CH-Signature-Type": signature.signature_type,
        "X-CH-Signatory": signature.signatory,
        "X-CH-Timestamp-NS": str(signature.timestamp_ns),
        "X-CH-Signature": signature.signature,
        "X-CH-Signature-Scope": str(signature.signature_scope),
    }
