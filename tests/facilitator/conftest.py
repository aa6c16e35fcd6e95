"""Fixtures: a facilitator in this process, with PostgreSQL."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
import pytest_asyncio
from bittensor_core import Keypair

from compute_horde.concurrency.byte_budget import ByteGate
from compute_horde.django.database import close_threads
from facilitator import validator_consumer, validator_login
from facilitator.accounts.recent_checks import allowed_users, binding_users
from facilitator.config import config
from facilitator.jobs import status_reports
from facilitator.models import AllowedHotkey, Validator
from tests.compute_horde.vectors import KEYS
from tests.peers.api_user import User
from tests.peers.validator import ValidatorAtFacilitator


@pytest.fixture
def configure(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Changes settings of the facilitator, which are frozen otherwise, for the test."""

    def change(**values: Any) -> None:
        for name, value in values.items():
            assert name in type(config).model_fields
            monkeypatch.setitem(vars(config), name, value)

    return change


@pytest.fixture(autouse=True)
def _database(
    transactional_db: None,
    monkeypatch: pytest.MonkeyPatch,
    configure: Callable[..., None],
    settings: Any,
) -> Iterator[None]:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    configure(allowed_hosts=[*config.allowed_hosts, "testserver"])
    # Tests report statuses one by one, so waiting to batch them would only cost time.
    monkeypatch.setattr(status_reports.writer, "_linger", 0.01)
    # The event loop of an earlier test may have left statuses unstored.
    monkeypatch.setattr(
        validator_consumer, "total_unstored", ByteGate(validator_consumer.TOTAL_BYTES)
    )
    monkeypatch.setattr(validator_login, "conflict_alarms", validator_login.AlarmThrottle())
    allowed_users.clear()
    binding_users.clear()
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
async def connect() -> AsyncIterator[Callable[..., ValidatorAtFacilitator]]:
    """Makes validator connections that are closed after the test."""
    lines: list[ValidatorAtFacilitator] = []

    def line(
        keypair: Keypair = KEYS["validator"], extensions: str = "", **how: Any
    ) -> ValidatorAtFacilitator:
        lines.append(ValidatorAtFacilitator(keypair, extensions, **how))
        return lines[-1]

    yield line
    for one in lines:
        await one.leave()
    await status_reports.writer.close()


@pytest_asyncio.fixture
async def line(connect: Callable[..., ValidatorAtFacilitator]) -> ValidatorAtFacilitator:
    """The connection of a logged-in validator."""
    return await connect().log_in()
