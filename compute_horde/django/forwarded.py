"""The client of a request that a proxy forwards."""

import ipaddress
from collections.abc import Iterable, Sequence
from typing import NamedTuple

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Headers = Iterable[tuple[bytes, bytes]]

SCHEMES = frozenset({"http", "https"})


class Forwarded(NamedTuple):
    """Address and scheme of a client as given by a trusted proxy; empty if not given."""

    address: str = ""
    scheme: str = ""


class TrustedProxies:
    """The addresses and networks whose `X-Forwarded-*` headers are trusted.

    Raises:
        ValueError: something is neither an address nor a network.
    """

    def __init__(self, named: Iterable[str]) -> None:
        self._networks: Sequence[Network] = [ipaddress.ip_network(one) for one in named]
        self._known: dict[str, bool] = {}

    def trusts(self, address: str) -> bool:
        """Whether this peer is one of the proxies."""
        if not self._networks:
            return False
        found = self._known.get(address)
        if found is None:
            if len(self._known) > 4096:
                self._known.clear()
            found = self._known[address] = self._is_inside(address)
        return found

    def read(self, headers: Headers) -> Forwarded:
        """The client in the headers: the last address that is not one of our proxies.

        Each proxy appends the address it received the request from, and only our own proxies are
        trusted, so the list is read from its end.
        """
        hops: list[str] = []
        scheme = ""
        for name, value in headers:
            if name == b"x-forwarded-for":
                hops += value.decode("latin-1").split(",")
            elif name == b"x-forwarded-proto":
                scheme = value.decode("latin-1").strip().lower()
        client = ""
        for hop in reversed(hops):
            address = _without_port(hop.strip())
            if not address:
                break
            client = address
            if not self.trusts(address):
                break
        return Forwarded(client, scheme if scheme in SCHEMES else "")

    def _is_inside(self, address: str) -> bool:
        try:
            ip = ipaddress.ip_address(address)
        except ValueError:
            return False
        if ip.version == 6 and ip.ipv4_mapped:
            ip = ip.ipv4_mapped
        return any(ip in network for network in self._networks if network.version == ip.version)


def checked_proxies(named: Sequence[str]) -> Sequence[str]:
    """Validates a setting; `ValueError` names what is neither an address nor a network."""
    TrustedProxies(named)
    return named


def _without_port(text: str) -> str:
    """The address in `1.2.3.4`, `1.2.3.4:5`, `::1` or `[::1]:5`; empty if there is none."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return ""
