"""A miner whose executors are scripted by tests, and a validator that it accepts."""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
)
from typing import Any

import pytest
from bittensor_core import Keypair
from django.db.backends.utils import CursorWrapper

from compute_horde.django import database
from compute_horde.django.database import in_database
from compute_horde.hardware import ExecutorClass
from compute_horde.protocol.job import ExecutorReady, JobAccepted
from miner.asgi import AdminApplication, Application
from miner.config import config
from miner.hotkeys.served import ServedHotkey
from miner.jobs.models import Job
from miner.jobs.validator_sockets import Parties
from miner.wiring import Miner
from tests.miner.peers import ExecutorPeer, ScriptedManager, ValidatorPeer

VALIDATOR = Keypair.create_from_uri("//Alice")
STRANGER = Keypair.create_from_uri("//Charlie")
MINER = Keypair.create_from_uri("//Bob")
PARTIES = Parties(MINER.ss58_address, VALIDATOR.ss58_address)
SETTINGS = {
    "executor_manager": "tests.miner.peers:ScriptedManager",
    "executors": {ExecutorClass.always_on__test: 1},
    "validators": (VALIDATOR.ss58_address,),
    "reject_seconds": 0.05,
    "start_seconds": 5.0,
    "grace_seconds": 30.0,
    "shutdown_seconds": 0.05,
    "trusted": False,
    "check_receipts": True,
    "require_validator_signature": False,
}


class RunningMiner:
    """A running miner, and its peers."""

    def __init__(self, miner: Miner) -> None:
        self.miner = miner
        self._application = Application(miner)
        self.admin = AdminApplication(miner)
        self._connections: set[asyncio.Task[None]] = set()

    async def app(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """The miner's application; records its connections."""
        if scope["type"] == "websocket":
            self._connections.add(asyncio.current_task())
        await self._application(scope, receive, send)

    async def close_connections(self) -> None:
        """Close all connections that are still open."""
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    @property
    def manager(self) -> ScriptedManager:
        return self.miner.pool.manager

    async def validator(self, keypair: Keypair = VALIDATOR, *extensions: str) -> ValidatorPeer:
        """A validator that has logged in and read the manifest."""
        peer = ValidatorPeer(self.app, keypair, MINER.ss58_address)
        await peer.open()
        await peer.log_in(*extensions)
        return peer

    async def executor(self, number: int = -1) -> ExecutorPeer:
        """The executor started last (or with `number`), connected."""
        await self.manager.has_started(number)
        peer = ExecutorPeer(self.app, self.manager.tokens[number])
        await peer.open()
        return peer


Run = Callable[..., "AbstractAsyncContextManager[RunningMiner]"]


@pytest.fixture(scope="session", autouse=True)
def _nothing_half_open(django_db_setup: None) -> Iterator[None]:
    """A connection abandoned while it was opened is closed when it is collected."""
    yield
    gc.collect()


@pytest.fixture
def run_miner(transactional_db: None) -> Iterator[Run]:
    """`async with run_miner(executors=…) as it:` runs a miner with these settings."""

    @asynccontextmanager
    async def run(
        others: Sequence[ServedHotkey] = (), **changes: object
    ) -> AsyncIterator[RunningMiner]:
        miner = Miner(config.model_copy(update=SETTINGS | changes), MINER, others)
        await miner.open()
        it = RunningMiner(miner)
        try:
            yield it
        finally:
            await miner.close()
            await it.close_connections()

    yield run
    database.close_threads()


@pytest.fixture
def threads(transactional_db: None) -> Iterator[None]:
    """Closes the connections of the threads that `in_database` uses."""
    yield
    database.close_threads()


async def accepted(it: RunningMiner, **changes: object) -> tuple[ExecutorPeer, ValidatorPeer, str]:
    """A job whose executor is ready; both peers have received all messages so far."""
    executor, validator = await it.executor(), await it.validator()
    offer = validator.offer(**changes)
    await validator.send(offer)
    assert isinstance(await validator.receive(), JobAccepted)
    await executor.receive()
    await executor.send(ExecutorReady(job_uuid=offer.job_uuid))
    assert isinstance(await validator.receive(), ExecutorReady)
    return executor, validator, offer.job_uuid


async def record(uuid: str) -> Job:
    """The row of a job."""
    return await in_database(Job.objects.get, pk=uuid)


@pytest.fixture
def statements() -> Callable[[], AbstractContextManager[list[str]]]:
    """Collects the SQL statements of all database threads."""

    @contextmanager
    def collect() -> Iterator[list[str]]:
        statements: list[str] = []
        execute = CursorWrapper._execute

        def spy(self: CursorWrapper, sql: str, *rest: object) -> object:
            statements.append(sql)
            return execute(self, sql, *rest)

        CursorWrapper._execute = spy
        try:
            yield statements
        finally:
            CursorWrapper._execute = execute

    return collect


@pytest.fixture(autouse=True)
def _quick_passwords(settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
