"""Limits on a server's connections: in all, per address and per peer, and on stalled ones."""

import asyncio
import enum
import functools
import ipaddress
import logging
import resource
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

log = logging.getLogger(__name__)

SWEEP_SECONDS = 1.0
# How long a peer may read nothing that is sent to it: while closing, and before.
CLOSING_SECONDS = 5.0
STALLED_SECONDS = 60.0
# File descriptors reserved for the database and everything else.
OTHER_DESCRIPTORS = 200
WARN_EVERY_SECONDS = 60.0
# The limit on open files to set, if the system allows it.
DESCRIPTORS = 65536
# Addresses remembered for each class of known peers.
MAX_KNOWN_ADDRESSES = 1024
# In a small table one peer may have this fraction of it, but at least so many connections.
PART_OF_ONE_PEER, LEAST_OF_ONE_PEER = 8, 16
# Key of a request's ASGI scope: a function without arguments, for `leave_address`.
LEAVE_ADDRESS = "compute_horde.leave_address"


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Limits on open connections, and on the bytes of request bodies held for them."""

    in_all: int = 4096
    per_address: int = 256
    body_bytes: int = 256 * 2**20
    body_bytes_per_address: int = 64 * 2**20
    # Bytes that one websocket may send before its peer has logged in.
    stranger_bytes: int = 2 * 2**20
    # Connections of one peer that has logged in.
    per_peer: int = 512
    # Fractions of all connections reserved for peers that log in, and for our own executors.
    peers_part: float = 0.0
    own_part: float = 0.0


class Share(enum.Enum):
    """Which reserved part of all connections a connection is counted in.

    Before a login the address decides: one from which a peer has logged in before counts as that
    peer's class, any other as a stranger's.
    """

    STRANGER = enum.auto()
    PEER = enum.auto()
    # Our own executors; also connections of a trusted proxy before their headers are read.
    OWN = enum.auto()


def raise_descriptor_limit() -> None:
    """Raise this process's limit on open files and sockets; the usual one is 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def connections_in_all(wanted: int) -> int:
    """How many connections there may be: as many as wanted, if this process may open so many."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return wanted if descriptors < 0 else min(wanted, max(16, descriptors - OTHER_DESCRIPTORS))


@functools.lru_cache(maxsize=4096)
def address_group(address: str) -> str:
    """The unit that limits apply to: an IPv4 address, or the /64 network of an IPv6 address."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if ip.version == 4:
        return str(ip)
    if ip.ipv4_mapped:
        return str(ip.ipv4_mapped)
    return str(ipaddress.ip_network((int(ip), 64), strict=False))


class GuardedConnection:
    """Counts and watches one TCP connection, for HTTP and websockets alike."""

    def __init__(self, table: "ConnectionTable", transport: asyncio.Transport) -> None:
        self.group = self.peer = ""
        self.share: Share | None = None
        self.held_bytes, self.held_group = 0, ""
        # The client's address and scheme as given by a trusted proxy.
        self.client: tuple[str, int] | None = None
        self.scheme = ""
        # The protocol's own check, called every second.
        self.check_protocol: Callable[[float], None] | None = None
        self._table, self._transport = table, transport
        self._unsent_bytes, self._moved_at = 0, asyncio.get_running_loop().time()

    def count_for(self, address: str) -> bool:
        """Count this connection for `address`, or for none; False if that address has too many.

        One that is closed already is not counted.
        """
        return self not in self._table or self._table.count(self, address)

    def trust(self, peer: str) -> bool:
        """Count this connection for a peer that has logged in; an empty name is one of our own.

        False if that peer has too many.
        """
        return self._table.trust(self, peer)

    def leave_address(self) -> None:
        """Do not count this connection for its address until its present response is over.

        For the long response of a user who has logged in and is counted by name elsewhere. In all,
        it still counts.
        """
        self._table.leave_address(self)

    @property
    def stranger_bytes(self) -> int:
        """Bytes that a websocket may send before its peer has logged in."""
        return self._table.limits.stranger_bytes

    def hold(self, size: int) -> bool:
        """Count `size` more bytes of a request held in memory; False if that is too much."""
        return self._table.hold(self, size)

    def release(self) -> None:
        """Stop counting the body of a request that is over."""
        if self.held_bytes:
            self._table.release(self)

    def remove(self) -> None:
        """Stop counting a closed connection."""
        self.check_protocol = None
        self.release()
        self._table.remove(self)

    def check(self, now: float) -> None:
        """Abort the connection if its peer reads nothing; otherwise call the protocol's check."""
        unsent = self._transport.get_write_buffer_size()
        if unsent == 0 or unsent < self._unsent_bytes:
            self._moved_at = now
        self._unsent_bytes = unsent
        is_closing = self._transport.is_closing()
        if now - self._moved_at > (CLOSING_SECONDS if is_closing else STALLED_SECONDS):
            self._transport.abort()
        elif self.check_protocol and not is_closing:
            self.check_protocol(now)


class ConnectionTable:
    """All connections of one server: counted when opened, checked every second."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        self._in_all = in_all = connections_in_all(limits.in_all)
        own = int(in_all * limits.own_part)
        self._max_strangers = in_all - own - int(in_all * limits.peers_part)
        self._max_not_own = in_all - own
        part = max(in_all // PART_OF_ONE_PEER, LEAST_OF_ONE_PEER)
        self._per_peer = min(limits.per_peer, part)
        self._connections: set[GuardedConnection] = set()
        self._by_address: Counter[str] = Counter()
        self._by_peer: Counter[str] = Counter()
        self._by_share: Counter[Share] = Counter()
        # In the order of their last use.
        self._known: dict[Share, dict[str, None]] = {Share.PEER: {}, Share.OWN: {}}
        self._held_bytes = 0
        self._held_by_address: Counter[str] = Counter()
        self._warned_at = float("-inf")
        self._is_sweeping = False

    def __len__(self) -> int:
        return len(self._connections)

    def __contains__(self, connection: GuardedConnection) -> bool:
        return connection in self._connections

    def add(self, connection: GuardedConnection, address: str) -> bool:
        """Add a connection and count it for `address`, if any; False if there are too many."""
        if len(self._connections) >= self._in_all:
            self._warn("connections refused: too many in all", "")
            return False
        if not self.count(connection, address):
            return False
        self._connections.add(connection)
        if not self._is_sweeping:
            self._is_sweeping = True
            asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._sweep)
        return True

    def remove(self, connection: GuardedConnection) -> None:
        """Remove a closed connection."""
        self._connections.discard(connection)
        self._uncount(connection)

    def count(self, connection: GuardedConnection, address: str) -> bool:
        """Count a connection for this address from now on; False if it has too many."""
        group = address_group(address) if address else ""
        # One that left its address for a while counts for a peer; it is to count as before.
        is_counted = connection.share and (group or connection.share is Share.OWN)
        if group == connection.group and is_counted:
            return True
        if group and self._by_address[group] >= self.limits.per_address:
            self._warn("connections refused: too many of one address", group)
            return False
        share = self._share_of(group)
        self._uncount(connection)
        if not self._has_room(share):
            self._warn("connections refused: too many that are not logged in", group)
            return False
        connection.group = group
        self._take(connection, share)
        if group:
            self._by_address[group] += 1
        return True

    def leave_address(self, connection: GuardedConnection) -> None:
        """Count a connection for no address from now on."""
        if connection.group:
            _subtract(self._by_address, connection.group, 1)
            connection.group = ""

    def trust(self, connection: GuardedConnection, peer: str) -> bool:
        """Count a connection for a peer that logged in; False if it has too many.

        An empty name stands for our own executors. The address is remembered.
        """
        is_gone = connection not in self._connections
        if is_gone or (connection.peer and connection.peer == peer):
            return True
        if peer and self._by_peer[peer] >= self._per_peer:
            self._warn("connections refused: too many of one peer", peer)
            return False
        share = Share.PEER if peer else Share.OWN
        self._remember(connection.group, share)
        self._uncount(connection)
        connection.peer = peer
        self._take(connection, share)
        if peer:
            self._by_peer[peer] += 1
        return True

    def hold(self, connection: GuardedConnection, size: int) -> bool:
        """Count `size` more bytes of a body; False if that is over a limit."""
        group = connection.held_group = connection.held_group or connection.group
        limits, held = self.limits, self._held_by_address[group]
        if held + size > limits.body_bytes_per_address:
            return False
        if self._held_bytes + size > limits.body_bytes:
            return False
        self._held_bytes += size
        self._held_by_address[group] = held + size
        connection.held_bytes += size
        return True

    def release(self, connection: GuardedConnection) -> None:
        """Stop counting a connection's bodies."""
        self._held_bytes -= connection.held_bytes
        _subtract(self._held_by_address, connection.held_group, connection.held_bytes)
        connection.held_bytes, connection.held_group = 0, ""

    def _take(self, connection: GuardedConnection, share: Share) -> None:
        connection.share = share
        self._by_share[share] += 1

    def _uncount(self, connection: GuardedConnection) -> None:
        if connection.share:
            self._by_share[connection.share] -= 1
        if connection.group:
            _subtract(self._by_address, connection.group, 1)
        if connection.peer:
            _subtract(self._by_peer, connection.peer, 1)
        connection.group, connection.peer, connection.share = "", "", None

    def _share_of(self, group: str) -> Share:
        if not group or group in self._known[Share.OWN]:
            return Share.OWN
        return Share.PEER if group in self._known[Share.PEER] else Share.STRANGER

    def _has_room(self, share: Share) -> bool:
        if share is Share.OWN:
            return True
        strangers = self._by_share[Share.STRANGER]
        if share is Share.STRANGER and strangers >= self._max_strangers:
            return False
        return strangers + self._by_share[Share.PEER] < self._max_not_own

    def _remember(self, group: str, share: Share) -> None:
        known = self._known[share]
        if group:
            known.pop(group, None)
            known[group] = None
            if len(known) > MAX_KNOWN_ADDRESSES:
                del known[next(iter(known))]

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for connection in list(self._connections):
            connection.check(now)
        self._is_sweeping = bool(self._connections)
        if self._is_sweeping:
            loop.call_later(SWEEP_SECONDS, self._sweep)

    def _warn(self, text: str, group: str) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._warned_at > WARN_EVERY_SECONDS:
            self._warned_at = now
            log.warning(text, extra={"address": group, "connections": len(self)})


def leave_address(scope: Mapping[str, Any]) -> None:
    """Do not count this request's connection for its address until its response is over."""
    if leave := scope.get(LEAVE_ADDRESS):
        leave()


def _subtract(counts: Counter[str], key: str, number: int) -> None:
    counts[key] -= number
    if counts[key] <= 0:
        del counts[key]
