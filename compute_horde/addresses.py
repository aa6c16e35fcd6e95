"""Policy for IP addresses: which ones a user's URL or a miner's announced address may lead to."""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, replace

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# IPv4-compatible IPv6 addresses: the last four bytes are an IPv4 address.
_COMPATIBLE = ipaddress.ip_network("::/96")
# ISATAP interface identifiers (RFC 5214): this, then an IPv4 address.
_ISATAP = frozenset({0x00005EFE, 0x02005EFE})
# Treated as special, whatever this Python release's tables contain.
_ODD = (
    # Azure's metadata server, then the network of Oracle's.
    ipaddress.ip_network("168.63.129.16/32"),
    ipaddress.ip_network("192.0.0.0/24"),
    ipaddress.ip_network("192.88.99.0/24"),
    ipaddress.ip_network("3fff::/20"),
)


@dataclass(frozen=True, slots=True)
class Reach:
    """The addresses that may be connected to: the public internet, and what the operator adds."""

    allow_private: bool = False
    networks: tuple[Network, ...] = ()

    def allows(self, address: str) -> bool:
        """Whether a connection may be made to `address`."""
        if self.allow_private:
            return True
        ip = _parsed(address)
        return any(ip in network for network in self.networks) or is_public(address)

    def and_also(self, addresses: Iterable[str]) -> "Reach":
        """A copy that also allows these addresses."""
        more = tuple(ipaddress.ip_network(_parsed(address)) for address in addresses)
        return replace(self, networks=(*self.networks, *more))


def is_public(address: str) -> bool:
    """Whether an address is outside every private, loopback, link-local or special network.

    An IPv6 address with an embedded IPv4 address is judged by the latter.
    """
    ip = _parsed(address)
    if isinstance(ip, ipaddress.IPv6Address):
        if inner := _embedded_ipv4(ip):
            return all(is_public(str(one)) for one in inner)
        if ip.is_site_local or ip.is_reserved:
            return False
    return ip.is_global and not ip.is_multicast and not any(ip in odd for odd in _ODD)


def _parsed(address: str) -> Address:
    return ipaddress.ip_address(address.split("%")[0])


def _embedded_ipv4(ip: ipaddress.IPv6Address) -> tuple[ipaddress.IPv4Address, ...]:
    last = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    if ip in _NAT64 or ip in _COMPATIBLE or (int(ip) >> 32) & 0xFFFFFFFF in _ISATAP:
        return (last,)
    if ip.teredo:
        return ip.teredo
    inner = ip.ipv4_mapped or ip.sixtofour
    return (inner,) if inner else ()
