"""Canonical byte forms, signing and verifying."""

import base64
import binascii
import hashlib
import json
import re
from typing import Any, Protocol

from bittensor_core import Keypair, ss58_encode
from pydantic import BaseModel, ConfigDict, Field

from compute_horde import frames
from compute_horde.errors import BadSignature, ProtocolError
from compute_horde.vocabulary import SignatureScope

SIGNATURE_BYTES = 64
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
# Of 32 bytes in format 42.
ADDRESS_CHARACTERS = 48
# Decoding base 58 takes time quadratic in its length.
MAX_SS58_CHARACTERS = 64
_HEX = re.compile(r"0x[0-9a-fA-F]{128}")


class Signer(Protocol):
    """Anything with an SS58 address that signs bytes with sr25519: a hotkey."""

    @property
    def ss58_address(self) -> str: ...

    def sign(self, data: bytes) -> bytes: ...


class RequestSignature(BaseModel):
    """An SDK user's signature over a request; travels with the job to the validator."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    signature_type: str = ""
    signatory: str = ""
    timestamp_ns: int = Field(0, ge=0, lt=2**64)
    signature: str
    signature_scope: SignatureScope = SignatureScope.SIGNED_FIELDS


def colon_text(*fields: object) -> bytes:
    """C1: fields joined by colons."""
    return ":".join(map(str, fields)).encode()


def spaced_json(value: Any) -> bytes:
    """C2: sorted keys, `, ` and `: ` between, ASCII only."""
    return json.dumps(value, sort_keys=True).encode()


def compact_json(value: Any) -> bytes:
    """C3: sorted keys, no spaces, ASCII only."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def request_digest(payload: Any, timestamp_ns: int) -> bytes:
    """C4: BLAKE2b-512 over the time and the payload.

    `payload` is what the two signature scopes sign: a JSON text (encoded a second time), an
    object (its C2 form) or raw bytes.
    """
    body = payload if isinstance(payload, bytes) else spaced_json(payload)
    stamp = timestamp_ns.to_bytes(8, "big")
    return hashlib.blake2b(stamp + body, digest_size=64).digest()


def validator_signed_text(message: dict[str, Any]) -> bytes:
    """The text that `validator_signature` covers: C3 of the message without that key."""
    return compact_json({k: v for k, v in message.items() if k != "validator_signature"})


def signed_hex(signer: Signer, blob: bytes) -> str:
    """The signature as `0x` and 128 hexadecimal digits."""
    return "0x" + bytes(signer.sign(blob)).hex()


def verify_hex(ss58: str, blob: bytes, signature: str) -> None:
    """Raise `BadSignature` unless `signature` (`0x` hex) is by `ss58` over `blob`."""
    if not _HEX.fullmatch(signature):
        raise BadSignature("a signature in text is 0x and 128 hexadecimal digits")
    verify(ss58, blob, bytes.fromhex(signature[2:]))


def verify(ss58: str, blob: bytes, signature: bytes) -> None:
    """Raise `BadSignature` unless `signature` (64 bytes) is by `ss58` over `blob`.

    A signature over the blob between `<Bytes>` and `</Bytes>`, as browser wallets make it, is
    accepted too.
    """
    if len(signature) != SIGNATURE_BYTES:
        raise BadSignature("a signature has 64 bytes")
    if not _key(ss58).verify(blob, signature):
        raise BadSignature(f"the signature is not by {ss58} over these bytes")


def public_key(ss58: str) -> bytes:
    """The 32 raw bytes of an SS58 address; raises `BadSignature` when it is invalid."""
    return bytes(_key(ss58).public_key)


def address_problem(ss58: str) -> str | None:
    """Why `ss58` is not the address of a Bittensor key, or None when it is."""
    if bad := next((letter for letter in ss58 if letter not in BASE58), None):
        return f"holds {bad!r}, which addresses do not have"
    if len(ss58) != ADDRESS_CHARACTERS:
        return f"has {len(ss58)} characters, and an address has {ADDRESS_CHARACTERS}"
    if not ss58.startswith("5"):
        return "is of another network: addresses of Bittensor begin with 5"
    try:
        public_key(ss58)
    except BadSignature:
        return "has a wrong checksum: a character is mistyped"
    return None


def address(key: bytes) -> str:
    """The SS58 address of 32 raw public-key bytes."""
    return str(ss58_encode(key))


def _key(ss58: str) -> Keypair:
    if len(ss58) > MAX_SS58_CHARACTERS:
        raise BadSignature("not an SS58 address")
    try:
        return Keypair(ss58_address=ss58)
    except (ValueError, TypeError, RuntimeError) as exc:
        raise BadSignature("not an SS58 address") from exc


def verify_validator_frame(raw: str | bytes, hotkey: str) -> bool:
    """Whether a frame is signed by the validator `hotkey`, in `validator_signature`.

    False without a signature; raises `BadSignature` for a wrong one and `ProtocolError` when the
    frame is not a JSON object. The raw frame is parsed, since the signature also covers keys that
    our messages do not know.
    """
    message = frames.parsed(raw)
    if not isinstance(message, dict):
        raise ProtocolError("a frame is a JSON object")
    signature = message.get("validator_signature")
    if signature is None:
        return False
    if not isinstance(signature, str):
        raise BadSignature("validator_signature is not text")
    try:
        text = validator_signed_text(message)
    except RecursionError as exc:
        raise ProtocolError("the frame is nested too deeply") from exc
    verify_hex(hotkey, text, signature)
    return True


def sign_request(
    signer: Signer, payload: Any, *, timestamp_ns: int, scope: SignatureScope
) -> RequestSignature:
    """Sign `payload` (see `request_digest`) like an SDK user."""
    raw = bytes(signer.sign(request_digest(payload, timestamp_ns)))
    return RequestSignature(
        signature_type="bittensor",
        signatory=signer.ss58_address,
        timestamp_ns=timestamp_ns,
        signature=base64.b64encode(raw).decode(),
        signature_scope=scope,
    )


def verify_request(signature: RequestSignature, payload: Any, scope: SignatureScope) -> None:
    """Raise `BadSignature` unless the signatory signed `payload` (see `request_digest`)."""
    if signature.signature_scope is not scope:
        raise BadSignature(f"the signature's scope must be {scope}")
    if signature.signature_type != "bittensor":
        raise BadSignature(f"unknown signature type {signature.signature_type!r}")
    try:
        raw = base64.b64decode(signature.signature, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise BadSignature("the signature is not base64") from exc
    verify(signature.signatory, request_digest(payload, signature.timestamp_ns), raw)


def cheat_report_payloads(report: dict[str, Any]) -> tuple[Any, Any]:
    """The two payloads of which either may be signed: the SDK's text, the library's object."""
    return spaced_json(report).decode(), report
