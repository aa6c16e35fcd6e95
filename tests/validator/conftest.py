"""A listener between a scripted facilitator and scripted miners, on a real database."""

import asyncio
import contextlib
import ipaddress
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from django.utils import timezone

from compute_horde.django import database
from compute_horde.django.database import in_database
from tests.peers.facilitator import FacilitatorPeer
from tests.peers.keys import USER, VALIDATOR
from tests.peers.miner import MinerPeer
from tests.peers.websocket_server import serving
from validator.config import Config, config
from validator.listener import Listener
from validator.miners.connection import Address, Callbacks, MinerConnection
from validator.miners.connections import MinerConnections
from validator.network.models import Neuron

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)
BRISK: dict[str, Any] = {
    "allowed_networks": LOOPBACK,
    "allowed_signers": [USER.ss58_address],
    "queue_seconds": 5.0,
    "miner_absence_seconds": 5.0,
    "reservation_seconds": 5,
}


def configured(**fields: Any) -> Config:
    """The settings of a test, with a fixed hotkey."""
    made = config.model_copy(update=BRISK | fields)
    made.__dict__["hotkey"] = VALIDATOR
    return made


def remember(*miners: MinerPeer) -> None:
    """Store these miners as neurons, like a read of the metagraph."""
    for uid, miner in enumerate(miners):
        Neuron.objects.update_or_create(
            hotkey=miner.hotkey,
            defaults={
                "coldkey": miner.hotkey,
                "uid": uid,
                "ip": "127.0.0.1",
                "port": miner.port,
                "seen_at": timezone.now(),
            },
        )


@asynccontextmanager
async def listening(facilitator: FacilitatorPeer, **fields: Any) -> AsyncIterator[Listener]:
    """A running listener."""
    listener = Listener(configured(facilitator_url=facilitator.url, **fields))
    task = asyncio.create_task(listener.run())
    try:
        yield listener
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _connection(listener: Listener, miner: MinerPeer) -> MinerConnection | None:
    """The listener's connection to a miner, once that is logged in."""
    await miner.until(lambda: miner.logins)
    return listener._connections.connection(miner.hotkey)


def address(miner: MinerPeer) -> Address:
    """Where a scripted miner listens."""
    return Address(miner.hotkey, "127.0.0.1", miner.port)


@asynccontextmanager
async def connection_to(miner: MinerPeer, **options: Any) -> AsyncIterator[MinerConnection]:
    """A connection that is opened to this miner, and kept open."""
    given: dict[str, Any] = {"absence_seconds": 5.0, "callbacks": Callbacks()} | options
    connections = MinerConnections(VALIDATOR, **given)
    connections.serve([address(miner)])
    try:
        yield connections.connection(miner.hotkey)
    finally:
        await connections.close()


Scene = Callable[..., "contextlib.AbstractAsyncContextManager[FacilitatorPeer]"]


@pytest.fixture
def scene(transactional_db: None) -> Scene:
    """A facilitator and these miners, a listener between them, everybody logged in."""

    @asynccontextmanager
    async def run(*miners: MinerPeer, **fields: Any) -> AsyncIterator[FacilitatorPeer]:
        facilitator = FacilitatorPeer()
        async with serving(facilitator, *miners):
            await in_database(remember, *miners)
            async with listening(facilitator, **fields) as listener:
                await facilitator.until(lambda: facilitator.logins)
                for miner in miners:
                    if miner.accepts_logins and (connection := await _connection(listener, miner)):
                        assert await connection.wait(30)
                yield facilitator

    return run


@pytest.fixture(autouse=True)
def _threads_end(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    marked = request.node.get_closest_marker("django_db")
    if marked or "transactional_db" in request.fixturenames:
        database.close_threads()


@pytest.fixture(autouse=True)
def _quick_passwords(settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
