"""The facilitator's own host names; a login made for another name is refused."""

from collections.abc import Sequence
from ipaddress import ip_address

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


def normalize_host(name: str) -> str:
    """A name as in a Host header: lower case, IPv6 addresses in brackets and shortest form."""
    bare = name.strip("[]")
    try:
        address = ip_address(bare)
    except ValueError:
        return name.lower()
    return f"[{address}]" if address.version == 6 else str(address)


def is_own_name(name: str, own: Sequence[str]) -> bool:
    """Whether `name` is one of this facilitator's host names, as they are configured."""
    # Imported late: it loads Django's models, and wrong settings are reported before that.
    from django.http.request import validate_host

    return bool(name) and validate_host(normalize_host(name), own)


def primary_name(own: Sequence[str]) -> str:
    """The first configured host name, for clients that name none."""
    return own[0].strip("[]").lstrip(".").lower()
