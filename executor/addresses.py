"""Which IP addresses a stranger's URL may lead to."""

import ipaddress
from dataclasses import dataclass

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# The oldest way to carry an IPv4 address, in the last four bytes.
_COMPATIBLE = ipaddress.ip_network("::/96")
# A host's interface on an intranet tunnel (ISATAP) is this, then its IPv4 address.
_ISATAP = frozenset({0x00005EFE, 0x02005EFE})
# Special as well, whatever the table of this Python's release says.
_ODD = (
    # Azure's metadata server, then the net of Oracle's.
    ipaddress.ip_network("168.63.129.16/32"),
    ipaddress.ip_network("192.0.0.0/24"),
    ipaddress.ip_network("192.88.99.0/24"),
    ipaddress.ip_network("3fff::/20"),
)


@dataclass(frozen=True, slots=True)
class Reach:
    """What jobs may reach: the internet, and what the operator adds."""

    allow_private: bool = False
    networks: tuple[Network, ...] = ()

    def allows(self, address: str) -> bool:
        """Whether a connection may be made to `address`."""
        if self.allow_private:
            return True
        ip = _parsed(address)
        return any(ip in network for network in self.networks) or is_public(address)


def is_public(address: str) -> bool:
    """Whether it is outside of every private, loopback, link-local or otherwise special net.

    IPv6 addresses that carry an IPv4 address are judged by that one.
    """
    ip = _parsed(address)
    if isinstance(ip, ipaddress.IPv6Address):
        if inner := _carried(ip):
            return all(is_public(str(one)) for one in inner)
        if ip.is_site_local or ip.is_reserved:
            return False
    return ip.is_global and not ip.is_multicast and not any(ip in odd for odd in _ODD)


def _parsed(address: str) -> Address:
    return ipaddress.ip_address(address.split("%")[0])


def _carried(ip: ipaddress.IPv6Address) -> tuple[ipaddress.IPv4Address, ...]:
    last = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    if ip in _NAT64 or ip in _COMPATIBLE or (int(ip) >> 32) & 0xFFFFFFFF in _ISATAP:
        return (last,)
    if ip.teredo:
        return ip.teredo
    inner = ip.ipv4_mapped or ip.sixtofour
    return (inner,) if inner else ()
