"""A listener between a scripted facilitator and scripted miners, on a real database."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from django.utils import timezone

from compute_horde.django import database
from compute_horde.django.database import in_database
from tests.validator.peers import USER, VALIDATOR, FacilitatorPeer, MinerPeer, serving
from validator.config import Config, config
from validator.jobs.lines import MinerLine
from validator.listen import Listener
from validator.network.models import Neuron

BRISK: dict[str, Any] = {
    "allowed_signers": [USER.ss58_address],
    "queue_seconds": 5.0,
    "miner_absence_seconds": 5.0,
    "reservation_seconds": 5,
}


def configured(**fields: Any) -> Config:
    """The settings of a test, with a key of its own."""
    made = config.model_copy(update=BRISK | fields)
    made.__dict__["hotkey"] = VALIDATOR
    return made


def remember(*miners: MinerPeer) -> None:
    """As the metagraph would show them."""
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
    """A listener at work."""
    listener = Listener(configured(facilitator_url=facilitator.url, **fields))
    task = asyncio.create_task(listener.run())
    try:
        yield listener
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _line(listener: Listener, miner: MinerPeer) -> MinerLine | None:
    """The listener's end of a line that the miner has opened."""
    await miner.until(lambda: miner.logins)
    return listener._switchboard.line(miner.hotkey)


Scene = Callable[..., "contextlib.AbstractAsyncContextManager[FacilitatorPeer]"]


@pytest.fixture
def scene(transactional_db: None) -> Scene:
    """A facilitator and these miners, a listener between them, everybody logged in."""

    @asynccontextmanager
    async def play(*miners: MinerPeer, **fields: Any) -> AsyncIterator[FacilitatorPeer]:
        facilitator = FacilitatorPeer()
        async with serving(facilitator, *miners):
            await in_database(remember, *miners)
            async with listening(facilitator, **fields) as listener:
                await facilitator.until(lambda: facilitator.logins)
                for miner in miners:
                    if miner.accepts_logins and (line := await _line(listener, miner)):
                        assert await line.wait(5)
                yield facilitator

    return play


@pytest.fixture(autouse=True)
def _threads_end(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    marked = request.node.get_closest_marker("django_db")
    if marked or "transactional_db" in request.fixturenames:
        database.close_threads()


@pytest.fixture(autouse=True)
def _quick_passwords(settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
