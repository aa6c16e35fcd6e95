"""A validator that behaves as the published implementation does.

It opens one connection per job, announces no extensions and sends no message a second time.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

Connect = Callable[[], Awaitable[Any]]


class PublishedValidator:
    """Opens a connection per job through `connect`, which logs in without extensions.

    What `connect` returns must have `offer()`, `send(message)` and `receive()`, as the peers of
    tests/miner have; messages about another job than the connection's own are counted and dropped.
    """

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self.dropped = 0

    async def job(self, **changes: Any) -> "PublishedJob":
        """Offer a job on a new connection."""
        peer = await self._connect()
        offered = peer.offer(**changes)
        await peer.send(offered)
        return PublishedJob(self, peer, offered.job_uuid)


@dataclass
class PublishedJob:
    """One job on its connection."""

    validator: PublishedValidator
    peer: Any
    uuid: str

    async def receives(self, kind: type) -> Any:
        """The next message of a class about this job; repeats are ignored as they are there."""
        while True:
            message = await self.peer.receive()
            if getattr(message, "job_uuid", self.uuid) != self.uuid:
                self.validator.dropped += 1
            elif isinstance(message, kind):
                return message
