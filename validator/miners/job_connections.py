"""Separate connections for single jobs at miners that speak only the published protocol.

The published miner handles the messages of one connection one after another and takes seconds to
decline a job, so an offer never shares its connection with another job.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from compute_horde.adapters.websocket import ConnectionLostError
from compute_horde.concurrency.task_set import TaskSet
from compute_horde.protocol.message import JobMessage
from compute_horde.signing import Signer
from validator.miners.connection import LOGIN_SECONDS, Address, Callbacks, MinerConnection

log = logging.getLogger(__name__)

CONNECTIONS_PER_MINER = 64
# How long a job waits for a connection while its miner has the maximum, unless its caller says so.
FREE_CONNECTION_SECONDS = 5.0


class NoFreeConnectionError(ConnectionLostError):
    """The miner has the maximum of connections; the limit is this validator's own."""


class JobConnections:
    """Opens and closes single-job connections, at most `CONNECTIONS_PER_MINER` to each miner.

    A job waits for up to `free_seconds` for a free one.
    """

    def __init__(
        self,
        validator: Signer,
        *,
        absence_seconds: float,
        free_seconds: float = FREE_CONNECTION_SECONDS,
    ) -> None:
        self._validator = validator
        self._absence_seconds = absence_seconds
        self._free_seconds = free_seconds
        self._connections: dict[str, set[MinerConnection]] = {}
        self._free: dict[str, asyncio.Semaphore] = {}

    @asynccontextmanager
    async def opened(
        self, address: Address, on_unmatched: Callable[[MinerConnection, JobMessage, int], None]
    ) -> AsyncIterator[MinerConnection]:
        """A connection for one job, logged in; `on_unmatched` gets messages about other jobs.

        Raises:
            ConnectionLostError: the miner cannot be reached.
            NoFreeConnectionError: the miner has the maximum of connections.
        """
        miner = address.hotkey
        free = self._free.setdefault(miner, asyncio.Semaphore(CONNECTIONS_PER_MINER))
        try:
            async with asyncio.timeout(self._free_seconds):
                await free.acquire()
        except TimeoutError as exc:
            raise NoFreeConnectionError(
                f"{CONNECTIONS_PER_MINER} connections to miner {miner} are in use"
            ) from exc
        callbacks = Callbacks(on_unmatched=on_unmatched)
        connection = MinerConnection(
            address, self._validator, absence_seconds=self._absence_seconds, callbacks=callbacks
        )
        self._connections.setdefault(miner, set()).add(connection)
        try:
            async with TaskSet() as tasks:
                tasks.spawn(connection.run())
                if not await connection.wait(LOGIN_SECONDS):
                    raise ConnectionLostError(
                        f"no connection for a job could be opened to miner {miner}"
                    )
                yield connection
        finally:
            self._remove(miner, connection)
            free.release()

    def deliver(self, hotkey: str, message: JobMessage, size: int) -> bool:
        """Whether a job at this miner has a connection of its own.

        The job gets the message if that connection is lost just now: the published miner sends a
        message once, on each open connection.
        """
        for connection in self._connections.get(hotkey, ()):
            if connection.has_inbox(message.job_uuid):
                if not connection.connected:
                    connection.deliver(message, size)
                return True
        return False

    def set_address(self, address: Address) -> None:
        """Use the miner's new address when its connections are opened again."""
        for connection in self._connections.get(address.hotkey, ()):
            connection.address = address

    def _remove(self, miner: str, connection: MinerConnection) -> None:
        connections = self._connections[miner]
        connections.discard(connection)
        if not connections:
            del self._connections[miner]
