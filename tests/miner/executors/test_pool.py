"""How executors are kept ready, reserved, replaced and killed."""

import asyncio

import pytest

from compute_horde.errors import ContainerError, HordeError
from compute_horde.hardware import ExecutorClass
from compute_horde.protocol.handshake import GenericError
from compute_horde.vocabulary import HordeReason
from miner.executors import pool as module
from miner.executors import rules
from miner.executors.manager import ManagerSettings
from miner.executors.pool import ExecutorPool
from tests.eventually import eventually
from tests.miner.peers import ScriptedManager

WARM = ExecutorClass.always_on__test
SLOW = ExecutorClass.spin_up_4min__gpu_24gb


class FakeConnection:
    """The connection of an executor."""

    def __init__(self):
        self.sent = []
        self.is_closed = False

    async def send_message(self, message):
        await asyncio.sleep(0)
        self.sent.append(message)

    async def close(self, code=1000):
        self.is_closed = True


class FakeJob:
    """A job that records the loss of its executor."""

    job_uuid = "job"

    def __init__(self):
        self.error: HordeError | None = None

    def on_executor_lost(self, error):
        self.error = error


@pytest.fixture
async def pool():
    opened = []

    async def open_with(start_seconds=5.0, **counts):
        counts = {ExecutorClass[name]: n for name, n in counts.items()}
        setting = ManagerSettings("ws://miner", "owner", counts)
        start = module.timedelta(seconds=start_seconds)
        pool = ExecutorPool(lambda on_exit: ScriptedManager(setting, on_exit), start_limit=start)
        await pool.open()
        opened.append(pool)
        await asyncio.sleep(0)
        return pool

    yield open_with
    for one in opened:
        await one.close()


async def settle():
    for _ in range(10):
        await asyncio.sleep(0)


async def test_always_on_executors_are_started_in_advance_and_slow_ones_are_not(pool):
    it = await pool(always_on__test=2, spin_up_4min__gpu_24gb=3)
    assert len(it.manager.tokens) == 2
    assert it.manifest == {WARM: 2, SLOW: 3}


async def test_an_executor_is_reserved_for_one_job_only(pool):
    it = await pool(always_on__test=2)
    first, second = it.reserve(WARM, FakeJob()), it.reserve(WARM, FakeJob())
    assert first is not second
    assert it.reserve(WARM, FakeJob()) is None
    assert it.reserve(SLOW, FakeJob()) is None


async def test_a_connected_executor_is_preferred_to_one_that_is_starting(pool):
    it = await pool(always_on__test=2)
    ready = it.on_connected(it.manager.tokens[1], FakeConnection(), "192.0.2.1")
    assert it.reserve(WARM, FakeJob()) is ready


async def test_messages_to_a_starting_executor_wait_in_order(pool):
    it = await pool(always_on__test=1)
    executor, connection = it.reserve(WARM, FakeJob()), FakeConnection()
    messages = [GenericError(details=str(n)) for n in range(3)]
    for message in messages[:2]:
        it.send(executor, message)
    it.on_connected(executor.token, connection, None)
    it.send(executor, messages[2])
    await settle()
    assert connection.sent == messages


async def test_a_slot_is_refilled_at_once_when_its_job_is_over(pool):
    it = await pool(always_on__test=1)
    executor = it.reserve(WARM, FakeJob())
    it.on_connected(executor.token, FakeConnection(), None)
    it.release(executor)
    await settle()
    assert len(it.manager.tokens) == 2
    again = it.reserve(WARM, FakeJob())
    assert again is not executor


async def test_the_next_executor_is_started_while_the_previous_one_works(pool, monkeypatch):
    monkeypatch.setattr(ScriptedManager, "overlaps", True)
    it = await pool(always_on__test=1)
    executor = it.reserve(WARM, FakeJob())
    it.on_connected(executor.token, FakeConnection(), None)
    for _ in range(2):
        it.on_working(executor)
        await settle()
        assert len(it.manager.tokens) == 2
    assert it.reserve(WARM, FakeJob()) is None
    it.release(executor)
    await settle()
    assert len(it.manager.tokens) == 2
    following = it.reserve(WARM, FakeJob())
    assert following.token == it.manager.tokens[1]


async def test_a_missing_executor_waits_while_another_is_ready(pool, monkeypatch):
    monkeypatch.setattr(rules, "REFILL_DELAY", module.timedelta(seconds=0.3))
    monkeypatch.setattr(ScriptedManager, "overlaps", True)
    it = await pool(always_on__test=2)
    for token in it.manager.tokens:
        it.on_connected(token, FakeConnection(), None)
    first = it.reserve(WARM, FakeJob())
    it.on_working(first)
    await asyncio.sleep(0.5)
    assert len(it.manager.tokens) == 2
    it.release(first)
    await settle()
    assert len(it.manager.tokens) == 2
    await eventually(lambda: len(it.manager.tokens) == 3)


async def test_a_postponed_start_happens_when_the_last_ready_executor_works(pool, monkeypatch):
    monkeypatch.setattr(ScriptedManager, "overlaps", True)
    it = await pool(always_on__test=2)
    for token in it.manager.tokens:
        it.on_connected(token, FakeConnection(), None)
    first = it.reserve(WARM, FakeJob())
    it.release(first)
    await settle()
    assert len(it.manager.tokens) == 2
    # The last ready executor is reserved: both are replaced as soon as it works.
    second = it.reserve(WARM, FakeJob())
    it.on_working(second)
    await settle()
    assert len(it.manager.tokens) == 4
    assert it.reserve(WARM, FakeJob()) is not None


async def test_a_job_may_start_an_executor_whose_start_was_postponed(pool):
    it = await pool(always_on__test=2)
    for token in it.manager.tokens:
        it.on_connected(token, FakeConnection(), None)
    it.release(it.reserve(WARM, FakeJob()))
    ready, started = it.reserve(WARM, FakeJob()), it.reserve(WARM, FakeJob())
    await settle()
    assert ready.connection
    assert not started.connection
    assert it.manager.tokens[2:] == [started.token]
    assert it.reserve(WARM, FakeJob()) is None


async def test_without_overlap_there_is_one_executor_per_slot(pool):
    it = await pool(always_on__test=1)
    executor = it.reserve(WARM, FakeJob())
    it.on_working(executor)
    await settle()
    assert it.manager.tokens == [executor.token]


async def test_an_executor_that_does_not_exit_is_killed(pool, monkeypatch):
    monkeypatch.setattr(module, "LEAVE_TIME", module.timedelta(seconds=0.02))
    it = await pool(always_on__test=1)
    executor, connection = it.reserve(WARM, FakeJob()), FakeConnection()
    it.on_connected(executor.token, connection, None)
    it.release(executor)
    await it.manager.has_killed(executor.token)
    await settle()
    assert connection.is_closed
    assert executor not in it.executors


async def test_an_executor_that_exits_is_not_killed(pool, monkeypatch):
    monkeypatch.setattr(module, "LEAVE_TIME", module.timedelta(seconds=0.02))
    it = await pool(always_on__test=1)
    executor = it.reserve(WARM, FakeJob())
    it.on_connected(executor.token, FakeConnection(), None)
    it.release(executor)
    it.on_disconnected(executor, 1000)
    it.on_exited(executor.token, "exit code 0")
    await asyncio.sleep(0.05)
    assert it.manager.killed == []
    assert it.slots[WARM].failures == 0


async def test_a_slow_executor_is_started_for_its_job_and_only_then(pool):
    it = await pool(spin_up_4min__gpu_24gb=1)
    executor = it.reserve(SLOW, FakeJob())
    await settle()
    assert it.manager.tokens == [executor.token]
    assert it.reserve(SLOW, FakeJob()) is None
    it.on_connected(executor.token, FakeConnection(), None)
    it.release(executor)
    await settle()
    assert len(it.manager.tokens) == 1


async def test_an_executor_that_does_not_start_in_time_is_killed_and_fails_its_job(pool):
    it = await pool(start_seconds=0.02, always_on__test=1)
    assignment = FakeJob()
    executor = it.reserve(WARM, assignment)
    await it.manager.has_killed(executor.token)
    assert assignment.error.reason is HordeReason.EXECUTOR_SPINUP_FAILED
    assert "did not connect within 0.02 s" in str(assignment.error)


async def test_an_executor_that_cannot_be_started_fails_its_job(pool):
    it = await pool(spin_up_4min__gpu_24gb=1)
    it.manager.fails = ContainerError("no such machine")
    assignment = FakeJob()
    it.reserve(SLOW, assignment)
    await settle()
    assert assignment.error.reason is HordeReason.EXECUTOR_SPINUP_FAILED
    assert "no such machine" in str(assignment.error)
    assert it.reserve(SLOW, FakeJob()) is not None


async def test_crashing_executors_are_started_less_and_less_often(pool, monkeypatch):
    monkeypatch.setattr(rules, "FIRST_PAUSE", module.timedelta(seconds=0.02))
    it = await pool(always_on__test=1)
    for crashes in (1, 2):
        it.manager.on_exit(it.manager.tokens[-1], "exit code 1")
        assert it.slots[WARM].failures == crashes
        assert it.reserve(WARM, FakeJob()) is None
        await it.manager.has_started(crashes)
    assert it.slots[WARM].problem.endswith("ended: exit code 1")
    assert it.reserve(WARM, FakeJob()) is not None


async def test_a_finished_job_resets_the_crash_count(pool):
    it = await pool(always_on__test=1)
    it.slots[WARM].failures = 3
    executor = it.reserve(WARM, FakeJob())
    it.on_connected(executor.token, FakeConnection(), None)
    it.release(executor)
    assert it.slots[WARM].failures == 0


async def test_the_loss_of_an_executor_is_reported_once(pool):
    it = await pool(always_on__test=1)
    assignment = FakeJob()
    executor = it.reserve(WARM, assignment)
    it.on_connected(executor.token, FakeConnection(), None)
    it.on_disconnected(executor, 1006)
    first, assignment.error = assignment.error, None
    it.on_exited(executor.token, "exit code -9")
    assert first.reason is HordeReason.EXECUTOR_DISCONNECTED
    assert assignment.error is None
    assert it.reserve(WARM, FakeJob()) is not executor


async def test_a_closed_pool_reserves_nothing(pool):
    it = await pool(always_on__test=1)
    await it.close()
    assert it.reserve(WARM, FakeJob()) is None


async def test_each_executor_has_a_state(pool):
    it = await pool(always_on__test=4)
    ready, busy, leaving = it.executors[:3]
    for one in (ready, busy, leaving):
        it.on_connected(one.token, FakeConnection(), None)
    busy.assignment = leaving.assignment = FakeJob()
    it.release(leaving)
    states = [one.state for one in it.executors[:4]]
    assert states == ["idle", "busy", "leaving", "starting"]


async def test_an_executor_out_of_service_is_neither_offered_nor_reserved(pool):
    it = await pool(always_on__test=1)
    token = it.reserve(WARM, FakeJob()).token
    it.on_connected(token, FakeConnection(), None)
    it.manager.on_service(WARM, 1, "the container engine did not remove the job")
    it.on_exited(token, "exit code 5")
    assert it.manifest == {WARM: 0}
    assert it.slots[WARM].problem == "out of service: the container engine did not remove the job"
    assert it.reserve(WARM, FakeJob()) is None
    it.manager.on_service(WARM, -1, "")
    assert it.manifest == {WARM: 1}
    await settle()
    assert it.reserve(WARM, FakeJob()) is not None
