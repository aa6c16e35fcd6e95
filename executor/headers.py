"""Which headers a job may have sent with its uploads; pure."""

import re
from collections.abc import Mapping

TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}")
# Text without the control characters that end a header and begin another.
VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]{0,8192}")
MOST = 100
# These say how a connection is used, and that is ours to say.
OURS = frozenset(
    {
        "connection",
        "expect",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


class BadHeaderError(Exception):
    """A header that may not be sent; the text says why."""


def vetted(
    headers: Mapping[str, str] | None, *, authority: str, length: int | None
) -> dict[str, str]:
    """The headers to send; `BadHeaderError` for one that would change what is sent where.

    A signature may cover the host and the length. We send both ourselves, so they may be said
    when they are true. `length` is None where nobody can know it ahead.
    """
    given = headers or {}
    if len(given) > MOST:
        raise BadHeaderError(f"{len(given)} signed headers are over {MOST}")
    return {k: v for k, v in given.items() if not _is_said_by_us(k, v, authority, length)}


def _is_said_by_us(name: str, value: str, authority: str, length: int | None) -> bool:
    if not TOKEN.fullmatch(name):
        raise BadHeaderError(f"{name[:200]!r} is no name of a header")
    if not VALUE.fullmatch(value):
        raise BadHeaderError(f"the header {name!r} is too long or holds a line break")
    match name.lower():
        case "host":
            true = authority
        case "content-length":
            true = str(length)
        case known if known in OURS:
            raise BadHeaderError(f"the header {name!r} may not be set; leave it out")
        case _:
            return False
    if value.strip().lower() != true.lower():
        raise BadHeaderError(f"the header {name!r} is not {true!r}; leave it out")
    return True
