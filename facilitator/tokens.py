"""JSON web tokens signed with HMAC-SHA-256, and no other kind.

A few lines, since a library for all kinds costs every facilitator nine megabytes and a third of a
second.
"""

import base64
import binascii
import hashlib
import hmac
import json
from typing import Any

HEADER = {"alg": "HS256", "typ": "JWT"}
MAX_CHARACTERS = 2000


class TokenError(Exception):
    """The token is not one of ours."""


class TokenExpired(TokenError):
    """The token was ours, but is over."""


def encode(claims: dict[str, Any], key: bytes) -> str:
    """The claims, signed."""
    signed = f"{_packed(HEADER)}.{_packed(claims)}"
    return f"{signed}.{_base64(_mac(signed, key))}"


def decode(token: str, key: bytes, *, now: float) -> dict[str, Any]:
    """The claims of a token that we signed and that is not over at `now` (UNIX s)."""
    try:
        head, body, signature = token[:MAX_CHARACTERS].split(".")
        is_ours = hmac.compare_digest(_bytes(signature), _mac(f"{head}.{body}", key))
        if not is_ours or _unpacked(head).get("alg") != HEADER["alg"]:
            raise TokenError("not signed by us")
        claims = _unpacked(body)
        is_over = float(claims["exp"]) <= now
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        raise TokenError("malformed") from exc
    if is_over:
        raise TokenExpired("over")
    return claims


def _mac(signed: str, key: bytes) -> bytes:
    return hmac.digest(key, signed.encode(), hashlib.sha256)


def _packed(value: dict[str, Any]) -> str:
    return _base64(json.dumps(value, separators=(",", ":")).encode())


def _unpacked(text: str) -> dict[str, Any]:
    return dict(json.loads(_bytes(text)))


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    if "=" in text:
        raise ValueError("padded")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as exc:
        raise ValueError("not base64") from exc
