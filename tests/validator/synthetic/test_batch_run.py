"""All puzzles of a batch at once, with the protocol of users' jobs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from bittensor_core import Keypair

from compute_horde.hardware import ExecutorClass
from compute_horde.protocol.job import (
    JobOffered,
)
from compute_horde.protocol.receipt import FinishedReceiptIssued
from compute_horde.vocabulary import JobState, RejectionReason
from tests.peers.keys import VALIDATOR
from tests.peers.miner import MinerPeer, declining, solving
from tests.peers.user import request
from tests.peers.websocket_server import serving
from tests.validator.conftest import address, configured
from validator.synthetic import rules
from validator.synthetic.batch_run import Attempt, BatchRun, RunSettings
from validator.synthetic.rules import Cost, Task

COST = Cost("computehorde/hash:v1", 50, 5)
TEST = ExecutorClass.always_on__test
ONE = {"always_on.test": 1}


def attempts(*hotkeys: str) -> list[Attempt]:
    """One puzzle for each of these miners."""
    tasks = [Task(hotkey, TEST, "hash", f"seed {n}") for n, hotkey in enumerate(hotkeys)]
    return [Attempt(task, rules.request(task, COST, request().uuid)) for task in tasks]


@asynccontextmanager
async def batch(*miners: MinerPeer, busy_seconds: float = 0) -> AsyncIterator[BatchRun]:
    """A batch at these miners; those with port 1 are away."""
    there = [one for one in miners if one.port != 1]
    timing = configured(reservation_seconds=1).timing
    settings = RunSettings(VALIDATOR, timing, COST, 0.5, busy_seconds, 8)
    async with serving(*there):
        run = BatchRun(settings, [address(one) for one in miners])
        try:
            yield run
        finally:
            await run.close()


async def test_manifests_are_those_of_the_miners_that_answer_in_time() -> None:
    here, silent, away = MinerPeer(), MinerPeer(), MinerPeer()
    silent.keypair, away.keypair = map(Keypair.create_from_uri, ("//Silent", "//Away"))
    silent.accepts_logins, away.port = False, 1
    async with batch(here, silent, away) as run:
        assert await run.manifests() == {here.hotkey: {TEST: 2}}


async def test_a_right_answer_earns_a_point_and_its_receipt_says_so() -> None:
    miner = MinerPeer(solving)
    async with batch(miner) as run:
        await run.manifests()
        tried = attempts(miner.hotkey, miner.hotkey)
        await run.run_all(tried)
        assert [(one.verdict, one.points) for one in tried] == [(rules.RIGHT, 1)] * 2
        assert {one.state for one in tried} == {JobState.COMPLETED}
        assert not miner.all(FinishedReceiptIssued)
        await run.send_receipts(tried)
        await miner.receives(FinishedReceiptIssued, 2)
    sent = [one.payload for one in miner.all(FinishedReceiptIssued)]
    scores = {one.job_uuid: one.score_str for one in sent}
    assert scores == {one.request.uuid: "1.000000" for one in tried}
    kinds = [type(one.payload).__name__ for one in tried[0].receipts]
    assert kinds == ["JobStartedReceipt", "JobAcceptedReceipt", "JobFinishedReceipt"]
    assert [event.state for event in tried[0].events][-1] is JobState.COMPLETED


async def test_a_wrong_answer_earns_nothing() -> None:
    miner = MinerPeer()
    async with batch(miner) as run:
        await run.manifests()
        tried = attempts(miner.hotkey)
        await run.run_all(tried)
        await run.send_receipts(tried)
        issued = await miner.receives(FinishedReceiptIssued)
    assert (tried[0].verdict, tried[0].points) == (rules.WRONG, 0)
    assert issued.payload.score_str == "0.000000"


async def test_miners_that_are_away_or_unknown_end_their_attempts_and_no_others() -> None:
    good, away = MinerPeer(solving), MinerPeer()
    away.keypair, away.port = Keypair.create_from_uri("//Away"), 1
    async with batch(good, away) as run:
        await run.manifests()
        tried = attempts(away.hotkey, "nobody", good.hotkey)
        await run.run_all(tried)
        await run.send_receipts(tried)
        await good.receives(FinishedReceiptIssued)
    states = [one.state for one in tried]
    assert states == [JobState.HORDE_FAILED, JobState.HORDE_FAILED, JobState.COMPLETED]
    assert "there is no connection to the miner" in tried[1].verdict
    assert [one.points for one in tried] == [0, 0, 1]


async def test_a_busy_miner_is_asked_again_for_a_while(monkeypatch) -> None:
    monkeypatch.setattr("validator.synthetic.batch_run.BUSY_PAUSE_SECONDS", 0.05)
    miner = MinerPeer(declining(RejectionReason.BUSY, times=2))
    miner.extensions = ("cancel",)
    async with batch(miner, busy_seconds=30) as run:
        await run.manifests()
        tried = attempts(miner.hotkey)
        await run.run_all(tried)
    assert tried[0].state is JobState.COMPLETED
    assert len(miner.all(JobOffered)) == 3


@pytest.mark.parametrize(
    ("reason", "extensions", "busy_seconds"),
    [
        (RejectionReason.BUSY, ("cancel",), 0),
        (RejectionReason.BUSY, (), 30),
        (RejectionReason.UNKNOWN, ("cancel",), 30),
    ],
)
async def test_a_decline_is_the_end_when_it_is_of_no_use_to_ask_again(
    reason, extensions, busy_seconds
) -> None:
    miner = MinerPeer(declining(reason))
    miner.extensions = extensions
    async with batch(miner, busy_seconds=busy_seconds) as run:
        await run.manifests()
        tried = attempts(miner.hotkey)
        await run.run_all(tried)
    assert (tried[0].state, tried[0].points) == (JobState.REJECTED, 0)
    assert str(reason) in tried[0].verdict
    assert len(miner.all(JobOffered)) == 1


async def test_a_miner_that_falls_silent_has_failed() -> None:
    miner = MinerPeer(lambda *_: [])
    async with batch(miner) as run:
        await run.manifests()
        tried = attempts(miner.hotkey)
        await run.run_all(tried)
    assert tried[0].state is JobState.HORDE_FAILED
    assert tried[0].points == 0


async def test_an_error_of_ours_ends_one_attempt(monkeypatch) -> None:
    miner = MinerPeer(solving)
    async with batch(miner) as run:
        await run.manifests()
        tried = attempts(miner.hotkey, miner.hotkey)
        handle = run._handle_step

        def fails(attempt, contract, step) -> None:
            if attempt is tried[0]:
                raise ZeroDivisionError
            handle(attempt, contract, step)

        monkeypatch.setattr(run, "_handle_step", fails)
        await run.run_all(tried)
    assert [one.state for one in tried] == [JobState.HORDE_FAILED, JobState.COMPLETED]
