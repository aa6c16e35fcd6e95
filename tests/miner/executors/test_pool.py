"""How executors are kept ready, given away, replaced and given up."""

import asyncio

import pytest

from compute_horde.errors import ContainerError, HordeError
from compute_horde.hardware import ExecutorClass
from compute_horde.protocol.handshake import GenericError
from compute_horde.vocabulary import HordeReason
from miner.executors import pool as module
from miner.executors import rules
from miner.executors.manager import Setting
from miner.executors.pool import Pool
from tests.miner.peers import ScriptedManager

WARM = ExecutorClass.always_on__test
SLOW = ExecutorClass.spin_up_4min__gpu_24gb


class Line:
    """An executor's socket."""

    def __init__(self):
        self.said = []
        self.is_closed = False

    async def say(self, message):
        await asyncio.sleep(0)
        self.said.append(message)

    async def close(self, code=1000):
        self.is_closed = True


class Tenant:
    """A job that remembers its loss."""

    job_uuid = "job"

    def __init__(self):
        self.error: HordeError | None = None

    def lost(self, error):
        self.error = error


@pytest.fixture
async def pool():
    opened = []

    async def open_with(start_seconds=5.0, **counts):
        counts = {ExecutorClass[name]: n for name, n in counts.items()}
        setting = Setting("ws://miner", "owner", counts)
        start = module.timedelta(seconds=start_seconds)
        pool = Pool(lambda on_exit: ScriptedManager(setting, on_exit), start_limit=start)
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


async def test_always_on_executors_are_started_ahead_and_slow_ones_are_not(pool):
    it = await pool(always_on__test=2, spin_up_4min__gpu_24gb=3)
    assert len(it.manager.tokens) == 2
    assert it.manifest == {WARM: 2, SLOW: 3}


async def test_an_executor_is_given_to_one_job_only(pool):
    it = await pool(always_on__test=2)
    first, second = it.reserve(WARM, Tenant()), it.reserve(WARM, Tenant())
    assert first is not second
    assert it.reserve(WARM, Tenant()) is None
    assert it.reserve(SLOW, Tenant()) is None


async def test_a_connected_executor_is_preferred_to_one_that_is_starting(pool):
    it = await pool(always_on__test=2)
    ready = it.connected(it.manager.tokens[1], Line(), "192.0.2.1")
    assert it.reserve(WARM, Tenant()) is ready


async def test_what_is_said_to_an_executor_that_is_starting_waits_in_order(pool):
    it = await pool(always_on__test=1)
    executor, line = it.reserve(WARM, Tenant()), Line()
    words = [GenericError(details=str(n)) for n in range(3)]
    for word in words[:2]:
        it.say(executor, word)
    it.connected(executor.token, line, None)
    it.say(executor, words[2])
    await settle()
    assert line.said == words


async def test_a_slot_is_refilled_at_once_when_its_job_is_over(pool):
    it = await pool(always_on__test=1)
    executor = it.reserve(WARM, Tenant())
    it.connected(executor.token, Line(), None)
    it.release(executor)
    await settle()
    assert len(it.manager.tokens) == 2
    again = it.reserve(WARM, Tenant())
    assert again is not executor


async def test_who_comes_next_is_started_while_the_last_one_works(pool, monkeypatch):
    monkeypatch.setattr(ScriptedManager, "overlaps", True)
    it = await pool(always_on__test=1)
    executor = it.reserve(WARM, Tenant())
    it.connected(executor.token, Line(), None)
    for _ in range(2):
        it.works(executor)
        await settle()
        assert len(it.manager.tokens) == 2
    assert it.reserve(WARM, Tenant()) is None
    it.release(executor)
    await settle()
    assert len(it.manager.tokens) == 2
    following = it.reserve(WARM, Tenant())
    assert following.token == it.manager.tokens[1]


async def test_a_machine_with_room_for_one_has_one(pool):
    it = await pool(always_on__test=1)
    executor = it.reserve(WARM, Tenant())
    it.works(executor)
    await settle()
    assert it.manager.tokens == [executor.token]


async def test_an_executor_that_does_not_leave_is_killed(pool, monkeypatch):
    monkeypatch.setattr(module, "LEAVE", module.timedelta(seconds=0.02))
    it = await pool(always_on__test=1)
    executor, line = it.reserve(WARM, Tenant()), Line()
    it.connected(executor.token, line, None)
    it.release(executor)
    await it.manager.has_killed(executor.token)
    await settle()
    assert line.is_closed
    assert executor not in it.executors


async def test_one_that_leaves_is_not_killed(pool, monkeypatch):
    monkeypatch.setattr(module, "LEAVE", module.timedelta(seconds=0.02))
    it = await pool(always_on__test=1)
    executor = it.reserve(WARM, Tenant())
    it.connected(executor.token, Line(), None)
    it.release(executor)
    it.disconnected(executor, 1000)
    it.exited(executor.token, "exit code 0")
    await asyncio.sleep(0.05)
    assert it.manager.killed == []
    assert it.slots[WARM].failures == 0


async def test_a_slow_executor_is_started_for_its_job_and_only_then(pool):
    it = await pool(spin_up_4min__gpu_24gb=1)
    executor = it.reserve(SLOW, Tenant())
    await settle()
    assert it.manager.tokens == [executor.token]
    assert it.reserve(SLOW, Tenant()) is None
    it.connected(executor.token, Line(), None)
    it.release(executor)
    await settle()
    assert len(it.manager.tokens) == 1


async def test_an_executor_that_does_not_start_in_time_is_killed_and_its_job_told(pool):
    it = await pool(start_seconds=0.02, always_on__test=1)
    tenant = Tenant()
    executor = it.reserve(WARM, tenant)
    await it.manager.has_killed(executor.token)
    assert tenant.error.reason is HordeReason.EXECUTOR_SPINUP_FAILED
    assert "did not connect within 0.02 s" in str(tenant.error)


async def test_an_executor_that_cannot_be_started_fails_its_job(pool):
    it = await pool(spin_up_4min__gpu_24gb=1)
    it.manager.fails = ContainerError("no such machine")
    tenant = Tenant()
    it.reserve(SLOW, tenant)
    await settle()
    assert tenant.error.reason is HordeReason.EXECUTOR_SPINUP_FAILED
    assert "no such machine" in str(tenant.error)
    assert it.reserve(SLOW, Tenant()) is not None


async def test_crashing_executors_are_started_less_and_less_often(pool, monkeypatch):
    monkeypatch.setattr(rules, "FIRST_PAUSE", module.timedelta(seconds=0.02))
    it = await pool(always_on__test=1)
    for crashes in (1, 2):
        it.manager.on_exit(it.manager.tokens[-1], "exit code 1")
        assert it.slots[WARM].failures == crashes
        assert it.reserve(WARM, Tenant()) is None
        await it.manager.has_started(crashes)
    assert it.slots[WARM].problem.endswith("ended: exit code 1")
    assert it.reserve(WARM, Tenant()) is not None


async def test_a_job_done_clears_the_crashes(pool):
    it = await pool(always_on__test=1)
    it.slots[WARM].failures = 3
    executor = it.reserve(WARM, Tenant())
    it.connected(executor.token, Line(), None)
    it.release(executor)
    assert it.slots[WARM].failures == 0


async def test_a_lost_executor_is_lost_once(pool):
    it = await pool(always_on__test=1)
    tenant = Tenant()
    executor = it.reserve(WARM, tenant)
    it.connected(executor.token, Line(), None)
    it.disconnected(executor, 1006)
    first, tenant.error = tenant.error, None
    it.exited(executor.token, "exit code -9")
    assert first.reason is HordeReason.EXECUTOR_DISCONNECTED
    assert tenant.error is None
    assert it.reserve(WARM, Tenant()) is not executor


async def test_a_closed_pool_reserves_nothing(pool):
    it = await pool(always_on__test=1)
    await it.close()
    assert it.reserve(WARM, Tenant()) is None


async def test_each_executor_says_how_it_fares(pool):
    it = await pool(always_on__test=4)
    ready, busy, leaving = it.executors[:3]
    for one in (ready, busy, leaving):
        it.connected(one.token, Line(), None)
    busy.tenant = leaving.tenant = Tenant()
    it.release(leaving)
    states = [one.state for one in it.executors[:4]]
    assert states == ["idle", "busy", "leaving", "starting"]
