"""Messages that nobody has handled yet are bounded in number and in bytes."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute_horde.concurrency.byte_budget import ByteBudget
from compute_horde.errors import HordeError
from compute_horde.faults import Cause
from compute_horde.vocabulary import HordeReason
from tests.eventually import eventually
from tests.peers.miner import MinerPeer, result
from tests.peers.websocket_server import serving
from tests.validator.conftest import connection_to
from validator.miners import inboxes
from validator.miners.inboxes import Inbox, end_all

JOB = "00000000-0000-0000-0000-000000000001"
OTHER = "00000000-0000-0000-0000-000000000002"
LOST = HordeError(HordeReason.MINER_CONNECTION_FAILED, "lost")


async def test_a_miner_that_talks_without_end_fills_no_memory() -> None:
    miner = MinerPeer()
    async with serving(miner), connection_to(miner) as opened:
        await opened.wait(30)
        with opened.inbox(JOB) as listen, opened.inbox(OTHER) as other:
            await miner.send(*[result(JOB)] * (2 * inboxes.MAX_UNREAD), result(OTHER))
            assert (await other()).job_uuid == OTHER
            for _ in range(inboxes.MAX_UNREAD):
                await listen()
            with pytest.raises(HordeError, match="at once"):
                await listen()
            await miner.send(result(JOB))
            assert (await listen()) == result(JOB)


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def test_what_nobody_has_looked_at_is_bounded_in_bytes() -> None:
    miner, size = MinerPeer(), 10 * 2**20
    large = result(JOB, "x" * size)
    async with serving(miner), connection_to(miner) as opened:
        await opened.wait(30)
        with opened.inbox(JOB) as listen, opened.inbox(OTHER) as other:
            before = resident_bytes()
            for _ in range(30):
                await miner.send(large)
                assert inboxes.process_budget.held <= inboxes.JOB_BYTES
            await miner.send(result(OTHER))
            assert (await other()).job_uuid == OTHER
            assert resident_bytes() - before < inboxes.JOB_BYTES + 10 * size
            with pytest.raises(HordeError, match="holds in memory"):
                await listen()
        await eventually(lambda: inboxes.process_budget.held == 0)


async def test_the_jobs_of_all_miners_together_are_bounded_and_the_largest_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(inboxes, "process_budget", ByteBudget(100_000))
    one, two = inboxes.process_budget.part(10**6), inboxes.process_budget.part(10**6)
    greedy, modest = Inbox(one), Inbox(two)
    modest.put(result(OTHER), 30_000)
    for _ in range(3):
        greedy.put(result(JOB), 30_000)
    with pytest.raises(HordeError, match="holds in memory"):
        await greedy.next()
    assert await modest.next() == result(OTHER)
    assert inboxes.process_budget.held == 0


async def test_an_end_comes_after_the_messages_before_it_and_for_every_inbox() -> None:
    budget = ByteBudget(10**9)
    one, other = Inbox(budget), Inbox(budget)
    one.put(result(JOB), 10)
    end_all([one, other], LOST)
    assert await one.next() == result(JOB)
    for inbox in (one, other):
        with pytest.raises(HordeError) as ended:
            await inbox.next()
        assert ended.value is LOST


async def test_one_message_too_many_is_the_miner_s_fault() -> None:
    inbox = Inbox(ByteBudget(10**9))
    for _ in range(2 * inboxes.MAX_UNREAD):
        inbox.put(result(JOB), 1)
    for _ in range(inboxes.MAX_UNREAD):
        assert await inbox.next() == result(JOB)
    with pytest.raises(HordeError, match=f"more than {inboxes.MAX_UNREAD} messages") as ended:
        await inbox.next()
    assert ended.value.context == Cause.BROKEN_ORDER.context


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 40_000)), max_size=40))
def test_whatever_comes_the_budget_holds_and_is_free_after_the_end(messages) -> None:
    budget = ByteBudget(100_000)
    held = {name: Inbox(budget) for name in "ab"}
    for name, size in messages:
        held[name].put(result(JOB), size)
        assert 0 <= budget.held <= budget.limit
    for inbox in held.values():
        inbox.close()
    assert budget.held == 0
