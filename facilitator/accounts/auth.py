"""Authentication of users: a nonce signed with a hotkey gives a bearer token for the API."""

import hashlib
import secrets
import time
from collections.abc import Iterable

from django.core import signing as django_signing
from django.http import HttpRequest, JsonResponse
from django.http.request import split_domain_port
from ninja import Router
from ninja.security.base import AuthBase
from pydantic import BaseModel

from compute_horde import signing
from compute_horde.errors import BadSignature
from compute_horde.protocol import extensions
from facilitator.accounts import host_names, tokens
from facilitator.accounts.recent_checks import is_allowed
from facilitator.config import config
from facilitator.jobs import store
from facilitator.web.errors import ApiError
from facilitator.web.response_deadline import query_within_deadline

NONCE_SECONDS = 300
TOKEN_SECONDS = 3600
MAX_NONCE_CHARACTERS = 200
MAX_NAME_CHARACTERS = 100

router = Router(tags=["login"])


class Credentials(BaseModel):
    """A nonce and its signature by the user's hotkey."""

    hotkey: str = ""
    signature: str = ""
    nonce: str = ""


@router.get("/nonce", summary="A nonce to sign, good for five minutes and one login")
async def nonce(request: HttpRequest) -> JsonResponse:
    value = f"{secrets.token_hex(16)}+{audience_name(request)}"
    return JsonResponse({"nonce": _signer().sign(value)})


@router.post("/login", summary="A token for a signed nonce")
async def login(request: HttpRequest, body: Credentials) -> JsonResponse:
    _check_nonce(body)
    _check_signature(body)
    if not await is_allowed(body.hotkey):
        raise _bad_request("Hotkey not allowed")
    if not await query_within_deadline(store.use_nonce, body.nonce):
        raise _bad_request("Nonce expired or not found")
    return JsonResponse({"token": token(body.hotkey, now=int(time.time()))})


def token(hotkey: str, *, now: int) -> str:
    """A bearer token for `hotkey`; `now` is UNIX time in seconds."""
    claims = {"sub": hotkey, "iat": now, "exp": now + TOKEN_SECONDS}
    return tokens.encode(claims, _token_key())


class AuthenticatedRequest(HttpRequest):
    """A request that `Bearer` let through; `auth` is the caller's hotkey."""

    auth: str


class Bearer(AuthBase):
    """Authenticates a request by the token in `Authorization`; its result is the user's hotkey."""

    openapi_type = "http"
    openapi_scheme = "bearer"

    async def __call__(self, request: HttpRequest) -> str:
        hotkey = _subject(_bearer(request))
        if not await is_allowed(hotkey):
            raise _unauthorized("Unauthorized hotkey.")
        return hotkey


def has_valid_token(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether request headers carry a valid token."""
    header = dict(headers).get(b"authorization", b"")
    try:
        return bool(_subject(_credentials(header.decode("latin-1"))))
    except ApiError:
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
    except tokens.TokenExpiredError as exc:
        raise _unauthorized("Token expired.") from exc
    except tokens.TokenError as exc:
        raise _unauthorized("Token decode error.") from exc
    if not claims.get("sub"):
        raise _unauthorized("Token missing subject.")
    return str(claims["sub"])


def _check_nonce(body: Credentials) -> None:
    for name in ("hotkey", "signature", "nonce"):
        if not getattr(body, name):
            raise _bad_request(f"Missing {name}")
    if len(body.nonce) > MAX_NONCE_CHARACTERS:
        raise _bad_request("Invalid nonce")
    try:
        _signer().unsign(body.nonce, max_age=NONCE_SECONDS)
    except django_signing.SignatureExpired as exc:
        raise _bad_request("Nonce expired") from exc
    except django_signing.BadSignature as exc:
        raise _bad_request("Invalid nonce") from exc


def _check_signature(body: Credentials) -> None:
    try:
        signature = bytes.fromhex(body.signature)
        signing.public_key(body.hotkey)
    except (ValueError, BadSignature) as exc:
        raise _bad_request("Nonce expired or not found") from exc
    try:
        signing.verify(body.hotkey, body.nonce.encode(), signature)
    except BadSignature as exc:
        raise ApiError(401, {"error": "Invalid signature"}) from exc


def audience_name(request: HttpRequest) -> str:
    """The facilitator's host name for a nonce, so that nobody else can pass the nonce off as his.

    It is the name that the client uses, if that is ours.
    """
    own = config.allowed_hosts
    requested = request.headers.get(extensions.FACILITATOR_HOST_HEADER, "")
    for host in (requested, split_domain_port(request.headers.get("Host", ""))[0]):
        if 0 < len(host) <= MAX_NAME_CHARACTERS and host_names.is_own_name(host, own):
            return str(host).strip("[]").lower()
    return host_names.primary_name(own)


def _signer() -> django_signing.TimestampSigner:
    # Nonces are hexadecimal without 0x: wallets decode text that starts with 0x before signing.
    return django_signing.TimestampSigner(salt="facilitator.accounts.auth")


def _token_key() -> bytes:
    """A key derived for tokens, so that nothing else signed with the secret passes as one."""
    secret = config.secret_key.get_secret_value().encode()
    return hashlib.sha256(b"facilitator.token:" + secret).digest()


def _bad_request(text: str) -> ApiError:
    return ApiError(400, {"error": text})


def _unauthorized(text: str) -> ApiError:
    return ApiError(401, {"detail": text}, headers={"WWW-Authenticate": "Bearer"})
