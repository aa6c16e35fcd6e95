"""Who a user is: nonces signed with a hotkey buy a token, tokens open the API."""

import hashlib
import secrets
import time
from typing import Any

from django.conf import settings
from django.core import signing as django_signing
from django.http import HttpRequest, JsonResponse
from ninja import Router
from ninja.security.base import AuthBase
from pydantic import BaseModel

from compute_horde import signing
from compute_horde.errors import BadSignature
from facilitator import actions, tokens
from facilitator.patience import promptly
from facilitator.refusal import Refusal

NONCE_SECONDS = 300
TOKEN_SECONDS = 3600
MAX_NONCE_CHARACTERS = 200

router = Router(tags=["login"])


class Credentials(BaseModel):
    """A nonce signed with the user's hotkey."""

    hotkey: str = ""
    signature: str = ""
    nonce: str = ""


@router.get("/nonce", summary="A nonce to sign, good for five minutes and one login")
async def nonce(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"nonce": _signer().sign(secrets.token_hex(16))})


@router.post("/login", summary="A token for a signed nonce")
async def login(request: HttpRequest, body: Credentials) -> JsonResponse:
    _check_nonce(body)
    _check_signature(body)
    if not await promptly(actions.is_allowed, body.hotkey):
        raise _refused("Hotkey not allowed")
    if not await promptly(actions.spend, body.nonce):
        raise _refused("Nonce expired or not found")
    return JsonResponse({"token": token(body.hotkey, now=int(time.time()))})


def token(hotkey: str, *, now: int) -> str:
    """A bearer token for `hotkey`."""
    claims = {"sub": hotkey, "iat": now, "exp": now + TOKEN_SECONDS}
    return tokens.encode(claims, _token_key())


class Bearer(AuthBase):
    """The caller's hotkey, from the token in `Authorization`."""

    openapi_type = "http"
    openapi_scheme = "bearer"

    async def __call__(self, request: HttpRequest) -> str:
        hotkey = _subject(_bearer(request))
        if not await promptly(actions.is_allowed, hotkey):
            raise _unauthorized("Unauthorized hotkey.")
        return hotkey


def is_known(scope: Any) -> bool:
    """Whether a request, of which only the headers are there, carries a token of ours."""
    header = dict(scope["headers"]).get(b"authorization", b"")
    try:
        return bool(_subject(_credentials(header.decode("latin-1"))))
    except Refusal:
        return False


def _bearer(request: HttpRequest) -> str:
    return _credentials(request.headers.get("Authorization", ""))


def _credentials(header: str) -> str:
    scheme, _, credentials = header.partition(" ")
    if scheme.lower() != "bearer":
        raise _unauthorized("Authentication credentials were not provided.")
    if not credentials or " " in credentials:
        raise _unauthorized("Invalid token header format.")
    if not credentials.isascii():
        raise _unauthorized("Invalid token header encoding.")
    return credentials


def _subject(bearer: str) -> str:
    try:
        claims = tokens.decode(bearer, _token_key(), now=time.time())
    except tokens.TokenExpired as exc:
        raise _unauthorized("Token expired.") from exc
    except tokens.TokenError as exc:
        raise _unauthorized("Token decode error.") from exc
    if not claims.get("sub"):
        raise _unauthorized("Token missing subject.")
    return str(claims["sub"])


def _check_nonce(body: Credentials) -> None:
    for name in ("hotkey", "signature", "nonce"):
        if not getattr(body, name):
            raise _refused(f"Missing {name}")
    if len(body.nonce) > MAX_NONCE_CHARACTERS:
        raise _refused("Invalid nonce")
    try:
        _signer().unsign(body.nonce, max_age=NONCE_SECONDS)
    except django_signing.SignatureExpired as exc:
        raise _refused("Nonce expired") from exc
    except django_signing.BadSignature as exc:
        raise _refused("Invalid nonce") from exc


def _check_signature(body: Credentials) -> None:
    try:
        signature = bytes.fromhex(body.signature)
        signing.public_key(body.hotkey)
    except (ValueError, BadSignature) as exc:
        raise _refused("Nonce expired or not found") from exc
    try:
        signing.verify(body.hotkey, body.nonce.encode(), signature)
    except BadSignature as exc:
        raise Refusal(401, {"error": "Invalid signature"}) from exc


def _signer() -> django_signing.TimestampSigner:
    # Nonces are hexadecimal and so never start with 0x, which wallets would sign decoded.
    return django_signing.TimestampSigner(salt="facilitator.login")


def _token_key() -> bytes:
    """A key of its own, so that nothing else signed with the secret passes for a token."""
    return hashlib.sha256(b"facilitator.token:" + settings.SECRET_KEY.encode()).digest()


def _refused(text: str) -> Refusal:
    return Refusal(400, {"error": text})


def _unauthorized(text: str) -> Refusal:
    return Refusal(401, {"detail": text}, headers={"WWW-Authenticate": "Bearer"})
