"""All attempts of a batch at once, with the protocol of users' jobs."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta

import pytest
from bittensor_core import Keypair

from compute_horde.faults import Culprit
from compute_horde.protocol.job import ExecutionDone, JobAccepted, JobOffered, JobPayload
from compute_horde.protocol.message import Message
from compute_horde.protocol.receipt import FinishedReceiptIssued
from compute_horde.vocabulary import JobState, RejectionReason
from tests.eventually import eventually
from tests.peers.keys import VALIDATOR
from tests.peers.miner import MinerPeer, declining, obliging, result, solving
from tests.peers.published_miner import PublishedMiner
from tests.peers.websocket_server import serving
from tests.validator.conftest import address, configured
from tests.validator.synthetic.making import attempt
from validator.miners import job_connections
from validator.synthetic import batch_run
from validator.synthetic.attempts import Attempt
from validator.synthetic.batch_run import BatchRun, RunSettings, offers_took
from validator.synthetic.outcomes import Outcome


@asynccontextmanager
async def batch(
    *miners: MinerPeer, busy_seconds: float = 0, reservation_seconds: float = 1
) -> AsyncIterator[BatchRun]:
    """A batch connected to these miners; those with port 1 are away."""
    there = [one for one in miners if one.port != 1]
    timing = configured(reservation_seconds=reservation_seconds, startup_seconds=0).timing
    settings = RunSettings(VALIDATOR, timing, 0.5 if len(there) < len(miners) else 10, busy_seconds)
    async with serving(*there):
        run = BatchRun(settings, [address(one) for one in miners])
        try:
            await run.connect()
            yield run
        finally:
            await run.close()


async def tried(run: BatchRun, *attempts: Attempt) -> list[Outcome]:
    await run.run_all(attempts)
    return [one.outcome for one in attempts]


async def test_a_right_answer_earns_a_point_and_its_receipt_says_so() -> None:
    miner = MinerPeer(solving)
    both = [attempt(miner.hotkey, number) for number in range(2)]
    async with batch(miner) as run:
        assert await tried(run, *both) == [Outcome.CORRECT] * 2
        assert [(one.reason, one.points, one.blamed) for one in both] == [
            ("right", 1, Culprit.NOBODY)
        ] * 2
        assert {one.state for one in both} == {JobState.COMPLETED}
        assert not miner.all(FinishedReceiptIssued)
        await run.send_receipts(both)
        await miner.receives(FinishedReceiptIssued, 2)
    sent = [one.payload for one in miner.all(FinishedReceiptIssued)]
    scores = {one.job_uuid: one.score_str for one in sent}
    assert scores == {one.request.uuid: "1.000000" for one in both}
    kinds = [type(one.payload).__name__ for one in both[0].receipts]
    assert kinds == ["JobStartedReceipt", "JobAcceptedReceipt", "JobFinishedReceipt"]
    assert [event.state for event in both[0].events][-1] is JobState.COMPLETED


async def test_an_attempt_has_the_times_of_its_states() -> None:
    miner = MinerPeer(solving)
    one = attempt(miner.hotkey)
    async with batch(miner) as run:
        await tried(run, one)
    times = one.times
    moments = [times.offered, times.accepted, times.ready, times.started, times.finished]
    assert moments == sorted(moments)
    assert 0 <= one.metrics["seconds"] <= (times.finished - times.ready).total_seconds()


async def test_a_wrong_answer_earns_nothing() -> None:
    miner = MinerPeer()
    one = attempt(miner.hotkey)
    async with batch(miner) as run:
        assert await tried(run, one) == [Outcome.WRONG_ANSWER]
        await run.send_receipts([one])
        issued = await miner.receives(FinishedReceiptIssued)
    assert (one.reason, one.points, one.blamed) == ("wrong answer", 0, Culprit.MINER)
    assert issued.payload.score_str == "0.000000"


async def test_miners_that_are_away_or_unknown_end_their_attempts_and_no_others() -> None:
    good, away = MinerPeer(solving), MinerPeer()
    away.keypair, away.port = Keypair.create_from_uri("//Away"), 1
    made = [attempt(away.hotkey), attempt("nobody"), attempt(good.hotkey)]
    async with batch(good, away) as run:
        outcomes = await tried(run, *made)
    assert outcomes == [Outcome.UNREACHABLE, Outcome.UNREACHABLE, Outcome.CORRECT]
    assert "there is no connection to the miner" in made[1].reason
    assert [one.points for one in made] == [0, 0, 1]


@pytest.mark.parametrize(
    ("seconds", "last"),
    [
        (60, (Outcome.WRONG_ANSWER, Culprit.MINER)),
        (0.01, (Outcome.VALIDATOR_FAILED, Culprit.NOBODY)),
    ],
)
async def test_an_attempt_waits_for_a_connection_and_its_lack_is_no_fault_of_the_miner(
    seconds: float, last: tuple[Outcome, Culprit], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_connections, "CONNECTIONS_PER_MINER", 1)
    monkeypatch.setattr(batch_run, "FREE_CONNECTION_SECONDS", seconds)
    miner = PublishedMiner(2)
    made = [attempt(miner.hotkey, number) for number in range(2)]
    async with batch(miner, reservation_seconds=30) as run:
        run._settings = replace(run._settings, connect_seconds=0.5)
        await run.run_all(made)
    assert miner.most_connections <= 2
    ended = [(one.outcome, one.blamed) for one in made]
    assert ended == [(Outcome.WRONG_ANSWER, Culprit.MINER), last]


@pytest.mark.parametrize(("late", "blamed"), [(0.0, Culprit.MINER), (0.5, Culprit.NOBODY)])
async def test_a_miner_is_not_blamed_for_a_validator_that_was_late_to_connect(
    late: float, blamed: Culprit, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = attempt("nobody")
    async with batch(MinerPeer(solving)) as run:
        monkeypatch.setattr(run.loop_delay, "worst_until_now", lambda since: late)
        assert await tried(run, one) == [Outcome.UNREACHABLE]
    assert one.blamed is blamed
    assert one.reason.startswith("this validator was 0.5 s late") is (late > 0)


async def test_nobody_waits_for_the_slowest() -> None:
    """The good miner's result is there before the silent one's first deadline has passed."""
    good, silent = MinerPeer(solving), MinerPeer(lambda *_: [])
    silent.keypair = Keypair.create_from_uri("//Silent")
    slow, quick = attempt(silent.hotkey), attempt(good.hotkey)
    async with batch(good, silent, reservation_seconds=3600) as run:
        running = asyncio.create_task(run.run_all([slow, quick]))
        await good.receives(JobPayload)
        await eventually(lambda: quick.outcome is not Outcome.OPEN)
        assert (quick.outcome, slow.outcome) == (Outcome.CORRECT, Outcome.OPEN)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def test_offers_are_sent_together() -> None:
    miners = [MinerPeer(solving, keypair=Keypair.create_from_uri(f"//{n}")) for n in range(5)]
    made = [attempt(miner.hotkey, number) for miner in miners for number in range(4)]
    async with batch(*miners) as run:
        assert set(await tried(run, *made)) == {Outcome.CORRECT}
    order = sorted(made, key=lambda one: one.times.offered)
    assert [one.executor.number for one in order] == sorted(one.executor.number for one in made)
    last, first = order[-1].times.offered, order[0].times.offered
    assert offers_took(made) == last - first
    assert offers_took([]) == timedelta(0)


async def test_a_new_miner_may_take_longer() -> None:
    miner = MinerPeer(lambda *_: [])
    new, usual = attempt(miner.hotkey, 0, time_factor=3), attempt(miner.hotkey, 1)
    async with batch(miner) as run:
        assert await tried(run, new, usual) == [Outcome.NOT_ACCEPTED] * 2
    took = [one.times.finished - one.times.offered for one in (new, usual)]
    assert took[0] > timedelta(seconds=3)
    assert took[0] > took[1]


async def test_a_delay_of_our_own_is_not_the_miners_fault() -> None:
    """The loop is blocked past the deadline, and the answer that came meanwhile counts."""
    blocked: list[JobOffered] = []

    def script(miner: MinerPeer, message: Message) -> list[Message]:
        if isinstance(message, JobOffered):
            blocked.append(message)
            time.sleep(1.5)
        return solving(miner, message)

    miner = MinerPeer(script)
    one = attempt(miner.hotkey)
    async with batch(miner, reservation_seconds=1) as run:
        assert await tried(run, one) == [Outcome.CORRECT]
    assert len(blocked) == 1
    assert one.loop_delay > 1.4
    assert one.times.accepted - one.times.offered > timedelta(seconds=1.4)


async def test_deadlines_are_extended_by_our_delay(monkeypatch) -> None:
    miner = MinerPeer(lambda *_: [])
    one = attempt(miner.hotkey)
    async with batch(miner, reservation_seconds=1) as run:
        monkeypatch.setattr(run.loop_delay, "lateness", lambda since: timedelta(seconds=2))
        assert await tried(run, one) == [Outcome.NOT_ACCEPTED]
    assert one.times.finished - one.times.offered >= timedelta(seconds=3)


async def test_our_delay_is_taken_out_of_the_measured_time() -> None:
    def script(miner: MinerPeer, message: Message) -> list[Message]:
        if isinstance(message, JobPayload):
            time.sleep(1.0)
        return solving(miner, message)

    miner = MinerPeer(script)
    one = attempt(miner.hotkey)
    async with batch(miner) as run:
        await tried(run, one)
    assert one.times.finished - one.times.ready > timedelta(seconds=1)
    took = (one.times.finished - one.times.ready).total_seconds()
    assert one.metrics["seconds"] < took - 0.9


async def test_a_busy_miner_is_asked_again_for_a_while(monkeypatch) -> None:
    monkeypatch.setattr("validator.synthetic.batch_run.BUSY_PAUSE_SECONDS", 0.05)
    miner = MinerPeer(declining(RejectionReason.BUSY, times=2))
    miner.extensions = ("cancel",)
    one = attempt(miner.hotkey)
    async with batch(miner, busy_seconds=30) as run:
        await tried(run, one)
    assert one.state is JobState.COMPLETED
    assert len(miner.all(JobOffered)) == 3


@pytest.mark.parametrize(
    ("reason", "extensions", "busy_seconds", "outcome"),
    [
        (RejectionReason.BUSY, ("cancel",), 0, Outcome.DECLINED_BUSY),
        (RejectionReason.BUSY, (), 30, Outcome.DECLINED_BUSY),
        (RejectionReason.UNKNOWN, ("cancel",), 30, Outcome.DECLINED),
    ],
)
async def test_a_decline_is_the_end_when_it_is_of_no_use_to_ask_again(
    reason, extensions, busy_seconds, outcome
) -> None:
    miner = MinerPeer(declining(reason))
    miner.extensions = extensions
    one = attempt(miner.hotkey)
    async with batch(miner, busy_seconds=busy_seconds) as run:
        assert await tried(run, one) == [outcome]
    assert (one.state, one.points) == (JobState.REJECTED, 0)
    assert str(reason) in one.reason
    (offer,) = miner.all(JobOffered)
    assert one.declined_at == offer.job_started_receipt_payload.timestamp


def stopping_after(*replies: type[Message]):
    """A miner that sends these messages in answer to the offer, and nothing else."""

    def script(miner: MinerPeer, message: Message) -> list[Message]:
        if not isinstance(message, JobOffered):
            return []
        return [reply(job_uuid=message.job_uuid) for reply in replies]

    return script


@pytest.mark.parametrize(
    ("script", "outcome"),
    [
        (stopping_after(), Outcome.NOT_ACCEPTED),
        (stopping_after(JobAccepted), Outcome.NOT_READY),
        (stopping_after(ExecutionDone), Outcome.BROKE_PROTOCOL),
    ],
)
async def test_a_miner_that_breaks_off_has_failed(script, outcome: Outcome) -> None:
    miner = MinerPeer(script)
    one = attempt(miner.hotkey)
    async with batch(miner) as run:
        assert await tried(run, one) == [outcome]
    assert (one.state, one.points, one.blamed) == (JobState.HORDE_FAILED, 0, Culprit.MINER)


async def test_much_text_of_a_miner_is_checked_and_not_kept() -> None:
    def talkative(miner: MinerPeer, message: Message) -> list[Message]:
        if isinstance(message, JobPayload):
            *before, _ = obliging(miner, message)
            return [*before, result(message.job_uuid, "x" * 10**6)]
        return obliging(miner, message)

    miner = MinerPeer(talkative)
    one = attempt(miner.hotkey)
    async with batch(miner) as run:
        assert await tried(run, one) == [Outcome.WRONG_ANSWER]
    assert sum(len(event.message.encode()) for event in one.events) < 10_000


async def test_an_error_of_ours_ends_one_attempt_and_is_our_fault(monkeypatch) -> None:
    miner = MinerPeer(solving)
    both = [attempt(miner.hotkey, number) for number in range(2)]
    async with batch(miner) as run:
        handle = run._handle_step

        def fails(one, contract, step) -> None:
            if one is both[0]:
                raise ZeroDivisionError
            handle(one, contract, step)

        monkeypatch.setattr(run, "_handle_step", fails)
        assert await tried(run, *both) == [Outcome.VALIDATOR_FAILED, Outcome.CORRECT]
    assert both[0].blamed is Culprit.VALIDATOR
