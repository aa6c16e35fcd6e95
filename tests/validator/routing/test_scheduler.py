"""Reserving executors of miners, and the queue for them."""

import asyncio

import pytest

from compute_horde.errors import HordeError, RejectionError
from compute_horde.hardware import ExecutorClass
from compute_horde.protocol.handshake import TRUSTED_MINER_HOTKEY
from compute_horde.vocabulary import HordeReason, RejectionReason
from validator.routing import rules
from validator.routing.rules import PlacementRequest
from validator.routing.scheduler import Scheduler

CLASS = ExecutorClass.always_on__test
SOON = 0.05
LONG = 60.0


class Miners:
    """A scheduler with miners, of which those in `away` are disconnected."""

    def __init__(self, *, has_trusted_miner: bool = False, **offered: int) -> None:
        # A trusted miner without a manifest is not connected.
        self.away: set[str] = {TRUSTED_MINER_HOTKEY} - offered.keys()
        self.reconnected: list[str] = []
        self.scheduler = Scheduler(
            lambda hotkey: hotkey not in self.away,
            self.reconnected.append,
            manifest_wait_seconds=SOON,
            has_trusted_miner=has_trusted_miner,
        )
        for hotkey, count in offered.items():
            self.scheduler.set_manifest(hotkey, {CLASS: count})


def placement(name: str = "job", **fields) -> PlacementRequest:
    return PlacementRequest(name, CLASS, **fields)


async def waiting(scheduler: Scheduler, *names: str) -> list[asyncio.Task[str]]:
    tasks = [asyncio.create_task(scheduler.reserve(placement(name), LONG)) for name in names]
    await asyncio.sleep(0)
    return tasks


async def test_every_executor_has_one_seat() -> None:
    scheduler = Miners(a=1, b=2).scheduler
    taken = [scheduler.try_reserve(placement(str(n))) for n in range(4)]
    assert sorted(filter(None, taken)) == ["a", "b", "b"]
    assert taken[3] is None


async def test_a_seat_that_is_left_goes_to_who_waited_longest() -> None:
    scheduler = Miners(a=1).scheduler
    scheduler.try_reserve(placement("first"))
    second, third = await waiting(scheduler, "second", "third")
    scheduler.release("a", CLASS)
    assert await second == "a"
    assert not third.done()
    scheduler.release("a", CLASS)
    assert await third == "a"


async def test_a_job_gives_up_when_all_stay_busy() -> None:
    scheduler = Miners(a=1).scheduler
    scheduler.try_reserve(placement("first"))
    with pytest.raises(RejectionError) as caught:
        await scheduler.reserve(placement(), SOON)
    assert caught.value.reason is RejectionReason.NO_MINER_FOR_JOB
    assert str(caught.value) == rules.ALL_BUSY
    scheduler.release("a", CLASS)
    assert scheduler.try_reserve(placement()) == "a"


async def test_a_job_that_nobody_offers_is_refused_soon() -> None:
    scheduler = Miners(a=0).scheduler
    with pytest.raises(RejectionError, match=rules.NO_MINER):
        await asyncio.wait_for(scheduler.reserve(placement(), LONG), 30)


@pytest.mark.parametrize(
    ("configured", "offers", "expected"),
    [
        (False, {}, rules.NO_TRUSTED_MINER),
        (True, {}, rules.TRUSTED_MINER_DOWN),
        (True, {TRUSTED_MINER_HOTKEY: 0}, rules.NOT_ON_TRUSTED_MINER),
    ],
)
async def test_a_trusted_miner_that_is_down_is_not_one_that_does_not_exist(
    configured: bool, offers: dict[str, int], expected: str
) -> None:
    scheduler = Miners(has_trusted_miner=configured, **offers).scheduler
    with pytest.raises((RejectionError, HordeError), match=expected):
        await scheduler.reserve(PlacementRequest("job", CLASS, miner=TRUSTED_MINER_HOTKEY), SOON)


async def test_a_miner_that_comes_in_time_gets_the_job() -> None:
    scheduler = Miners().scheduler
    (job,) = await waiting(scheduler, "job")
    scheduler.set_manifest("a", {CLASS: 1})
    assert await job == "a"


async def test_a_job_waits_for_a_lost_miner_and_hurries_it() -> None:
    miners = Miners(a=1)
    miners.away.add("a")
    (job,) = await waiting(miners.scheduler, "job")
    assert miners.reconnected == ["a"]
    miners.away.clear()
    miners.scheduler.assign_waiting()
    assert await job == "a"


async def test_a_job_whose_miners_all_stay_away_fails_by_the_networks_fault() -> None:
    miners = Miners(a=1)
    miners.away.add("a")
    with pytest.raises(HordeError) as caught:
        await miners.scheduler.reserve(placement(), SOON)
    assert caught.value.reason is HordeReason.MINER_CONNECTION_FAILED


async def test_a_miner_that_said_busy_is_asked_again_after_a_rest() -> None:
    scheduler = Miners(a=2).scheduler
    scheduler.back_off("a", CLASS)
    assert scheduler.try_reserve(placement()) is None
    assert await scheduler.reserve(placement(), LONG) == "a"


async def test_a_miner_that_says_busy_rests_longer_each_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scheduler, loop = Miners(a=2).scheduler, asyncio.get_running_loop()
    now = loop.time()
    with monkeypatch.context() as stopped:
        stopped.setattr(loop, "time", lambda: now)
        for pause in (0.25, 0.5, None, 0.25):
            if pause is None:
                scheduler.clear_back_off("a", CLASS)
                continue
            scheduler.back_off("a", CLASS)
            now += pause - 0.01
            assert scheduler.try_reserve(placement()) is None
            now += 0.02
            assert scheduler.try_reserve(placement()) == "a"
            scheduler.release("a", CLASS)


async def test_who_leaves_the_queue_leaves_no_seat_taken() -> None:
    scheduler = Miners(a=1).scheduler
    scheduler.try_reserve(placement("first"))
    (job,) = await waiting(scheduler, "second")
    scheduler.release("a", CLASS)
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    assert scheduler.try_reserve(placement("third")) == "a"


async def test_a_forgotten_miner_is_not_asked() -> None:
    scheduler = Miners(a=1).scheduler
    scheduler.remove_miner("a")
    assert scheduler.try_reserve(placement()) is None


async def test_a_miner_that_boasts_is_given_no_more_than_may_be_believed() -> None:
    scheduler = Scheduler(lambda hotkey: True, max_per_class=2)
    scheduler.set_manifest("boaster", {CLASS: 10**9})
    scheduler.set_manifest("honest", {CLASS: 2})
    taken = [scheduler.try_reserve(placement(str(n))) for n in range(5)]
    assert sorted(filter(None, taken)) == ["boaster"] * 2 + ["honest"] * 2


async def test_a_miner_with_a_false_result_gets_only_jobs_that_name_it_for_a_while() -> None:
    scheduler = Miners(a=2).scheduler
    scheduler.set_distrusted({"a": 60.0, "b": 60.0})
    assert scheduler.try_reserve(placement()) is None
    with pytest.raises(RejectionError, match=rules.ALL_DISTRUSTED) as caught:
        await scheduler.reserve(placement(), 0)
    assert caught.value.reason is RejectionReason.NO_MINER_FOR_JOB
    assert scheduler.try_reserve(placement(miner="a")) == "a"
    scheduler.set_distrusted({"a": 0.0})
    assert scheduler.try_reserve(placement()) == "a"


async def test_a_class_that_only_others_offer_is_not_blamed_on_false_results() -> None:
    scheduler = Miners(a=0).scheduler
    scheduler.set_distrusted({"a": 60.0})
    with pytest.raises(RejectionError, match=rules.NO_MINER):
        await scheduler.reserve(placement(), 0)
