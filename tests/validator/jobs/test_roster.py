"""Seats at miners, and the queue for them."""

import asyncio

import pytest

from compute_horde.errors import HordeError, RejectionError
from compute_horde.hardware import ExecutorClass
from compute_horde.vocabulary import HordeReason, RejectionReason
from validator.jobs import rules
from validator.jobs.roster import Roster
from validator.jobs.rules import Wish

CLASS = ExecutorClass.always_on__test
SOON = 0.05
LONG = 5.0


class Town:
    """Miners, some of them away."""

    def __init__(self, **offered: int) -> None:
        self.away: set[str] = set()
        self.hurried: list[str] = []
        self.roster = Roster(
            lambda hotkey: hotkey not in self.away, self.hurried.append, hope_seconds=SOON
        )
        for hotkey, count in offered.items():
            self.roster.offer(hotkey, {CLASS: count})


def wish(name: str = "job", **fields) -> Wish:
    return Wish(name, CLASS, **fields)


async def waiting(roster: Roster, *names: str) -> list[asyncio.Task[str]]:
    tasks = [asyncio.create_task(roster.seat(wish(name), LONG)) for name in names]
    await asyncio.sleep(0)
    return tasks


async def test_every_executor_has_one_seat() -> None:
    roster = Town(a=1, b=2).roster
    taken = [roster.take(wish(str(n))) for n in range(4)]
    assert sorted(filter(None, taken)) == ["a", "b", "b"]
    assert taken[3] is None


async def test_a_seat_that_is_left_goes_to_who_waited_longest() -> None:
    roster = Town(a=1).roster
    roster.take(wish("first"))
    second, third = await waiting(roster, "second", "third")
    roster.leave("a", CLASS)
    assert await second == "a"
    assert not third.done()
    roster.leave("a", CLASS)
    assert await third == "a"


async def test_a_job_gives_up_when_all_stay_busy() -> None:
    roster = Town(a=1).roster
    roster.take(wish("first"))
    with pytest.raises(RejectionError) as caught:
        await roster.seat(wish(), SOON)
    assert caught.value.reason is RejectionReason.NO_MINER_FOR_JOB
    assert str(caught.value) == rules.ALL_BUSY
    roster.leave("a", CLASS)
    assert roster.take(wish()) == "a"


async def test_a_job_that_nobody_offers_is_refused_soon() -> None:
    roster = Town(a=0).roster
    with pytest.raises(RejectionError, match=rules.NO_MINER):
        await asyncio.wait_for(roster.seat(wish(), LONG), 1)


async def test_a_miner_that_comes_in_time_gets_the_job() -> None:
    roster = Town().roster
    (job,) = await waiting(roster, "job")
    roster.offer("a", {CLASS: 1})
    assert await job == "a"


async def test_a_job_waits_for_a_lost_miner_and_hurries_it() -> None:
    town = Town(a=1)
    town.away.add("a")
    (job,) = await waiting(town.roster, "job")
    assert town.hurried == ["a"]
    town.away.clear()
    town.roster.look()
    assert await job == "a"


async def test_a_job_whose_miners_all_stay_away_fails_by_the_networks_fault() -> None:
    town = Town(a=1)
    town.away.add("a")
    with pytest.raises(HordeError) as caught:
        await town.roster.seat(wish(), SOON)
    assert caught.value.reason is HordeReason.MINER_CONNECTION_FAILED


async def test_a_miner_that_said_busy_rests_longer_each_time_then_is_asked_again() -> None:
    roster, loop = Town(a=2).roster, asyncio.get_running_loop()
    pauses = []
    for _ in range(2):
        roster.rest("a", CLASS)
        assert roster.take(wish()) is None
        began = loop.time()
        assert await roster.seat(wish(), LONG) == "a"
        roster.leave("a", CLASS)
        pauses.append(loop.time() - began)
    assert 0.2 < pauses[0] < pauses[1] / 1.5
    roster.rested("a", CLASS)
    roster.rest("a", CLASS)
    began = loop.time()
    await roster.seat(wish(), LONG)
    assert loop.time() - began < pauses[1] / 1.5


async def test_who_leaves_the_queue_leaves_no_seat_taken() -> None:
    roster = Town(a=1).roster
    roster.take(wish("first"))
    (job,) = await waiting(roster, "second")
    roster.leave("a", CLASS)
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    assert roster.take(wish("third")) == "a"


async def test_a_forgotten_miner_is_not_asked() -> None:
    roster = Town(a=1).roster
    roster.forget("a")
    assert roster.take(wish()) is None


async def test_a_miner_that_boasts_is_given_no_more_than_may_be_believed() -> None:
    roster = Roster(lambda hotkey: True, most_per_class=2)
    roster.offer("boaster", {CLASS: 10**9})
    roster.offer("honest", {CLASS: 2})
    taken = [roster.take(wish(str(n))) for n in range(5)]
    assert sorted(filter(None, taken)) == ["boaster"] * 2 + ["honest"] * 2
