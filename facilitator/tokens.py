"""The tokens that a login buys: JSON web tokens signed with HMAC-SHA-256, and no other kind."""

from typing import Any

import jwt

ALGORITHM = "HS256"
MAX_CHARACTERS = 2000


class TokenError(Exception):
    """The token is not one of ours."""


class TokenExpired(TokenError):
    """The token was ours, but is over."""


def encode(claims: dict[str, Any], key: bytes) -> str:
    """The claims, signed."""
    return jwt.encode(claims, key, algorithm=ALGORITHM)


def decode(token: str, key: bytes, *, now: float) -> dict[str, Any]:
    """The claims of a token that we signed and that is not over at `now` (UNIX s)."""
    # The time is ours to compare, so that one clock decides.
    options = {"verify_exp": False, "verify_iat": False, "require": ["exp"]}
    try:
        claims: dict[str, Any] = jwt.decode(
            token[:MAX_CHARACTERS], key, algorithms=[ALGORITHM], options=options
        )
        is_over = float(claims["exp"]) <= now
    except (jwt.InvalidTokenError, ValueError, TypeError, RecursionError) as exc:
        raise TokenError("not signed by us, or malformed") from exc
    if is_over:
        raise TokenExpired("over")
    return claims
