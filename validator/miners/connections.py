"""The connections to all serving miners."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace

from compute_horde.protocol.message import JobMessage
from compute_horde.signing import Signer
from validator.miners.connection import Address, Callbacks, MinerConnection
from validator.miners.job_connections import FREE_CONNECTION_SECONDS, JobConnections

log = logging.getLogger(__name__)


class MinerConnections:
    """One connection per miner; `serve` opens and closes them as miners come and go.

    `free_seconds`: how long an offer waits for a connection of its own (see `JobConnections`).
    """

    def __init__(
        self,
        validator: Signer,
        *,
        absence_seconds: float,
        callbacks: Callbacks,
        free_seconds: float = FREE_CONNECTION_SECONDS,
    ) -> None:
        self._validator = validator
        self._absence_seconds = absence_seconds
        self._callbacks = replace(callbacks, on_unmatched=self._on_unmatched)
        self._unmatched = callbacks.on_unmatched
        self._job_connections = JobConnections(
            validator, absence_seconds=absence_seconds, free_seconds=free_seconds
        )
        self._connections: dict[str, MinerConnection] = {}
        self._running: dict[str, asyncio.Task[None]] = {}

    def connection(self, hotkey: str) -> MinerConnection | None:
        """The connection to a serving miner, whether it is open or not; None for others."""
        return self._connections.get(hotkey)

    def reachable(self, hotkey: str) -> bool:
        """Whether the miner is connected now."""
        connection = self._connections.get(hotkey)
        return connection is not None and connection.connected

    def is_published(self, hotkey: str) -> bool:
        """Whether the miner is connected and speaks the published protocol only."""
        connection = self._connections.get(hotkey)
        return connection is not None and connection.is_published

    @asynccontextmanager
    async def connection_for_offer(
        self, connection: MinerConnection
    ) -> AsyncIterator[MinerConnection]:
        """The connection for an offer; at a published miner one for this job alone.

        Raises:
            ConnectionLostError: no further connection to the miner can be opened.
        """
        if not connection.is_published:
            yield connection
            return
        async with self._job_connections.opened(
            connection.address, self._on_unmatched_at_job
        ) as own:
            yield own

    def reconnect_now(self, hotkey: str) -> None:
        """Connect to this miner now: a job waits for it."""
        if connection := self._connections.get(hotkey):
            connection.reconnect_now()

    def serve(self, addresses: Iterable[Address]) -> set[str]:
        """Keep connections to exactly these miners; return the hotkeys that were removed.

        A connection with running jobs stays open, and uses the new address when it reconnects.
        """
        wanted = {address.hotkey: address for address in addresses}
        gone = self._connections.keys() - wanted.keys()
        for hotkey in gone:
            if not self._connections[hotkey].in_use:
                self._disconnect(hotkey)
        for hotkey, address in wanted.items():
            connection = self._connections.get(hotkey)
            if connection is None:
                self._open(address)
            elif connection.address != address:
                self._move(connection, address)
                self._job_connections.set_address(address)
        return gone

    async def close(self) -> None:
        """Close all connections."""
        tasks = list(self._running.values())
        for hotkey in list(self._connections):
            self._disconnect(hotkey)
        await asyncio.gather(*tasks, return_exceptions=True)

    def _on_unmatched(self, connection: MinerConnection, message: JobMessage, size: int) -> None:
        """Handle a message on a miner's connection about a job without an inbox there."""
        if not self._job_connections.deliver(connection.address.hotkey, message, size):
            self._unmatched(connection, message, size)

    def _on_unmatched_at_job(
        self, connection: MinerConnection, message: JobMessage, size: int
    ) -> None:
        """Handle a message on a job's own connection about another job.

        The other job may have its own connection, or be a resumed one on the shared connection.
        """
        hotkey = connection.address.hotkey
        if self._job_connections.deliver(hotkey, message, size):
            return
        shared = self._connections.get(hotkey)
        if shared and not shared.connected and shared.has_inbox(message.job_uuid):
            shared.deliver(message, size)

    def _open(self, address: Address) -> None:
        connection = MinerConnection(
            address,
            self._validator,
            absence_seconds=self._absence_seconds,
            callbacks=self._callbacks,
        )
        self._connections[address.hotkey] = connection
        self._running[address.hotkey] = asyncio.create_task(connection.run())

    def _move(self, connection: MinerConnection, address: Address) -> None:
        if connection.in_use:
            connection.address = address
            connection.reconnect_now()
        else:
            self._disconnect(address.hotkey)
            self._open(address)

    def _disconnect(self, hotkey: str) -> None:
        del self._connections[hotkey]
        self._running.pop(hotkey).cancel()
