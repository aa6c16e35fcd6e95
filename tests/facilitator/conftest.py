"""A facilitator in this process, PostgreSQL below."""

from collections.abc import AsyncIterator, Callable, Iterator

import pytest
import pytest_asyncio
from bittensor_core import Keypair

from compute_horde.django.database import close_threads
from facilitator import reports
from facilitator.models import AllowedHotkey, Validator
from tests.compute_horde.vectors import KEYS
from tests.facilitator.parties import Line, User


@pytest.fixture(autouse=True)
def _database(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # Tests ask for each status by itself, so none has company to wait for.
    monkeypatch.setattr(reports.scribe, "_linger", 0.01)
    for role in ("sdk_user", "miner"):
        AllowedHotkey.objects.create(hotkey=KEYS[role].ss58_address)
    Validator.objects.create(hotkey=KEYS["validator"].ss58_address)
    yield
    close_threads()


@pytest.fixture
def user() -> User:
    return User(KEYS["sdk_user"])


@pytest.fixture
def stranger() -> User:
    """Another user who may log in."""
    return User(KEYS["miner"])


@pytest_asyncio.fixture
async def connect() -> AsyncIterator[Callable[..., Line]]:
    """Makes lines that end with the test."""
    lines: list[Line] = []

    def line(keypair: Keypair = KEYS["validator"], extensions: str = "") -> Line:
        lines.append(Line(keypair, extensions))
        return lines[-1]

    yield line
    for one in lines:
        await one.leave()
    await reports.scribe.close()


@pytest_asyncio.fixture
async def line(connect: Callable[..., Line]) -> Line:
    """A logged-in validator."""
    return await connect().log_in()
