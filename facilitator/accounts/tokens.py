"""Bearer tokens: JSON web tokens signed with HMAC-SHA-256; other algorithms are refused."""

from typing import Any

import jwt
from jwt.types import Options

from compute_horde.errors import ComputeHordeError

ALGORITHM = "HS256"
MAX_CHARACTERS = 2000


class TokenError(ComputeHordeError):
    """The token is malformed or was not signed here."""


class TokenExpiredError(TokenError):
    """The token was signed here but has expired."""


def encode(claims: dict[str, Any], key: bytes) -> str:
    """A token with these claims."""
    return jwt.encode(claims, key, algorithm=ALGORITHM)


def decode(token: str, key: bytes, *, now: float) -> dict[str, Any]:
    """The claims of a token signed here and not expired at `now` (UNIX s).

    Raises `TokenError` or `TokenExpiredError`.
    """
    # Expiry is compared with `now` below, not with the library's clock.
    options: Options = {"verify_exp": False, "verify_iat": False, "require": ["exp"]}
    try:
        claims: dict[str, Any] = jwt.decode(
            token[:MAX_CHARACTERS], key, algorithms=[ALGORITHM], options=options
        )
        is_expired = float(claims["exp"]) <= now
    except (jwt.InvalidTokenError, ValueError, TypeError, RecursionError) as exc:
        raise TokenError("not signed by us, or malformed") from exc
    if is_expired:
        raise TokenExpiredError("expired")
    return claims
