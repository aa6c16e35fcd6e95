"""Live validator connections, and the delivery of each job on exactly one of them.

A job's row stores the name of the connection that it was sent on (`taken_by`). This one process
holds all connections, so a job whose connection is not registered here is sent on another one.
"""

import asyncio
import itertools
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from compute_horde.concurrency.task_set import TaskSet
from compute_horde.django.database import in_database
from compute_horde.vocabulary import Extension
from facilitator.jobs import bindings, cancellation, store

FRESH_SECONDS = 180.0
STALE_SECONDS = 600.0
BATCH_SIZE = 50
CLOSE_CODE = 3001

# Claims frames for a connection: validator, connection, all connections, how many at most.
Claim = Callable[[str, str, Sequence[str], int], list[str]]

_PROCESS = secrets.token_hex(8)


class Connection(Protocol):
    """One logged-in connection of a validator."""

    name: str
    hotkey: str
    # When the last message arrived, `time.monotonic()`.
    last_received: float
    # The peer's IP address.
    address: str
    # Whether it answered a login challenge; the published login can be replayed.
    is_proven: bool
    extensions: frozenset[Extension]

    async def send_frame(self, frame: str) -> None: ...

    async def is_alive(self) -> bool: ...

    async def terminate(self, code: int) -> None: ...


class ConnectionRegistry:
    """All live connections, by validator hotkey and connection name."""

    def __init__(self) -> None:
        self._connections: dict[str, dict[str, Connection]] = {}
        self._closing: set[str] = set()
        self._disconnected_at: dict[str, float] = {}
        self._started_at = time.monotonic()
        self._count = 0

    def new_name(self) -> str:
        """A name that no connection of this or an earlier process has had."""
        self._count += 1
        return f"{_PROCESS}-{self._count}"

    def add(self, connection: Connection) -> None:
        """Register a logged-in connection; jobs may be sent on it from now on."""
        self._connections.setdefault(connection.hotkey, {})[connection.name] = connection

    def remove(self, connection: Connection) -> None:
        """Send nothing more on a connection, but keep its jobs until `forget`.

        Reports received on it may still be waiting to be stored.
        """
        live = self._connections.get(connection.hotkey, {})
        if live.pop(connection.name, None):
            self._closing.add(connection.name)
        if not live:
            self._connections.pop(connection.hotkey, None)
            self._disconnected_at[connection.hotkey] = time.monotonic()

    def forget(self, connection: Connection) -> None:
        """Release the jobs of a removed connection; all reports received on it are stored."""
        self._closing.discard(connection.name)

    def all(self) -> list[Connection]:
        """All live connections."""
        return [one for live in self._connections.values() for one in live.values()]

    def holders(self, hotkey: str) -> list[str]:
        """Names of connections that may hold a validator's jobs: live ones and closing ones."""
        return [*self._connections.get(hotkey, ()), *self._closing]

    def find(self, hotkey: str, name: str) -> Connection | None:
        """A live connection of a validator by its name, or None."""
        return self._connections.get(hotkey, {}).get(name)

    def unproven(self, hotkey: str) -> list[Connection]:
        """A validator's connections that logged in without a challenge."""
        return [one for one in self._connections.get(hotkey, {}).values() if not one.is_proven]

    def active_unproven(self, hotkey: str) -> list[Connection]:
        """Those of `unproven` on which a message arrived within `FRESH_SECONDS`."""
        fresh = time.monotonic() - FRESH_SECONDS
        return [one for one in self.unproven(hotkey) if one.last_received >= fresh]

    def pick(self, hotkey: str) -> Connection | None:
        """The validator's connection with the newest message, unless older than `FRESH_SECONDS`."""
        live = self._connections.get(hotkey, {}).values()
        best = max(live, key=lambda one: one.last_received, default=None)
        if best is None or time.monotonic() - best.last_received > FRESH_SECONDS:
            return None
        return best

    def uptime_seconds(self) -> float:
        """Seconds since this process began to accept connections."""
        return time.monotonic() - self._started_at

    def absent_seconds(self, hotkey: str) -> float:
        """Seconds for which a validator has had no connection."""
        if hotkey in self._connections:
            return 0.0
        return time.monotonic() - self._disconnected_at.get(hotkey, self._started_at)


connections = ConnectionRegistry()
_deliveries = TaskSet()


async def deliver(hotkey: str, name: str, frame: str) -> None:
    """Send a stored job on connection `name`, or on another one when that is gone."""
    if connection := connections.find(hotkey, name):
        await connection.send_frame(bindings.frame_for_peer(frame, connection.extensions))
    else:
        await deliver_pending(hotkey)


async def deliver_pending(hotkey: str) -> None:
    """Send everything stored for the validator that no live connection of it has been sent.

    Goes on when the caller is cancelled: what is claimed for a connection is sent on it only once.
    """
    await asyncio.shield(_deliveries.spawn(_deliver_pending(hotkey)))


async def _deliver_pending(hotkey: str) -> None:
    while connection := connections.pick(hotkey):
        count = await _send_claimed(connection, store.claim_jobs)
        if Extension.CANCEL in connection.extensions:
            count += await _send_claimed(connection, cancellation.claim_requests)
        count += await _send_cheat_reports(connection)
        if not count:
            return


async def _send_cheat_reports(connection: Connection) -> int:
    """Send the cheat reports that the validator does not have yet; the number of frames.

    Validators do not answer them. The answer to a later ping shows that they arrived; without
    one, the connection is closed and they are sent again on the next. Validators take a report
    that they know already for a repetition.
    """
    reports = await in_database(store.unsent_cheat_reports, connection.hotkey, BATCH_SIZE)
    for frame in reports.values():
        await connection.send_frame(frame)
    if reports and await connection.is_alive():
        await in_database(store.mark_cheat_reports_sent, reports.keys())
    elif reports:
        await connection.terminate(CLOSE_CODE)
    return len(reports)


async def _send_claimed(connection: Connection, claim: Claim) -> int:
    """Claim a batch for a connection and send it; the number of frames.

    A claim whose outcome was lost is repeated with what it may have claimed: validators take a
    frame that they know already for a repetition.
    """
    hotkey, attempts = connection.hotkey, itertools.count()

    def attempt() -> list[str]:
        own = {connection.name} if next(attempts) else set()
        holders = [one for one in connections.holders(hotkey) if one not in own]
        return claim(hotkey, connection.name, holders, BATCH_SIZE)

    frames = await in_database(attempt)
    for frame in frames:
        await connection.send_frame(bindings.frame_for_peer(frame, connection.extensions))
    return len(frames)


async def close_stale(unwanted: set[str]) -> None:
    """Close connections silent for `STALE_SECONDS`, and those of `unwanted` hotkeys."""
    oldest_allowed = time.monotonic() - STALE_SECONDS
    for connection in connections.all():
        if connection.last_received < oldest_allowed or connection.hotkey in unwanted:
            await connection.terminate(CLOSE_CODE)
