"""Checks the headers that a job requests for its uploads; pure."""

import re
from collections.abc import Mapping

from executor.transfer.hop_by_hop import HOP_BY_HOP

TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}")
# Text without the control characters that end a header and begin another.
VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]{0,8192}")
MOST = 100


class BadHeaderError(Exception):
    """A header that may not be sent; the text says why."""


def checked_headers(
    headers: Mapping[str, str] | None, *, authority: str, length: int | None
) -> dict[str, str]:
    """The headers to send; raises `BadHeaderError` for one that is not allowed.

    A signature may cover `Host` and `Content-Length`. The HTTP client sets both, so they are
    accepted if they are correct, and dropped. `length` is None if it is not known in advance.
    """
    given = headers or {}
    if len(given) > MOST:
        raise BadHeaderError(f"{len(given)} signed headers are over {MOST}")
    return {k: v for k, v in given.items() if not _is_set_by_client(k, v, authority, length)}


def _is_set_by_client(name: str, value: str, authority: str, length: int | None) -> bool:
    if not TOKEN.fullmatch(name):
        raise BadHeaderError(f"{name[:200]!r} is no name of a header")
    if not VALUE.fullmatch(value):
        raise BadHeaderError(f"the header {name!r} is too long or holds a line break")
    match name.lower():
        case "host":
            true = authority
        case "content-length":
            true = str(length)
        case known if known in HOP_BY_HOP:
            raise BadHeaderError(f"the header {name!r} may not be set; leave it out")
        case _:
            return False
    if value.strip().lower() != true.lower():
        raise BadHeaderError(f"the header {name!r} is not {true!r}; leave it out")
    return True
