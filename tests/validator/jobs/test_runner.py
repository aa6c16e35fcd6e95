"""One job is offered to miners until one takes it, followed, and paid for."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from compute_horde.adapters.chain_port import RAO_PER_TAO
from compute_horde.cycles import Cycle
from compute_horde.django.database import in_database
from compute_horde.hardware import ExecutorClass
from compute_horde.protocol.job import ExecutorReady, JobAccepted, JobOffered
from compute_horde.protocol.receipt import FinishedReceiptIssued
from compute_horde.vocabulary import JobState, RejectionReason
from tests.eventually import eventually
from tests.peers.keys import OTHER_MINER, VALIDATOR
from tests.peers.miner import MinerPeer, declining, extended
from tests.peers.user import request
from tests.peers.websocket_server import serving
from tests.validator.conftest import configured
from tests.validator.rows import receipts_of, row_of
from tests.validator.scores.cycles import CYCLE, offered_to_validators, registered, seen
from validator.allowance.actions import BlockPayer
from validator.allowance.models import SpentBlock
from validator.facilitator.outbox import Outbox
from validator.jobs import queries, store
from validator.jobs.live_job import LiveJob
from validator.jobs.models import Job, RefusedOffer
from validator.jobs.recorder import JobRecorder
from validator.jobs.runner import JobRunner, RunnerSettings
from validator.miners.connection import Address, Callbacks
from validator.miners.connections import MinerConnections
from validator.routing.scheduler import Scheduler
from validator.scores.allowances import AllowanceRule
from validator.scores.collect import collect
from validator.scoring.parameters import DEFAULTS, AllowanceParameters, FormulaName
from validator.scoring.points.allowance import judged
from validator.scoring.spending import PICOSECONDS

pytestmark = pytest.mark.django_db(transaction=True)

TEST = ExecutorClass.always_on__test


@dataclass
class Stage:
    """A runner with its parts."""

    runner: JobRunner
    scheduler: Scheduler
    connections: MinerConnections
    recorder: JobRecorder

    async def stored(self, **fields: Any) -> LiveJob:
        job = LiveJob(request(**fields), Job.Kind.ORGANIC)
        assert await in_database(store.insert, job.row(job.uuid), job.transition())
        return job

    def free(self, job: LiveJob) -> int:
        """How many executors could be reserved now."""
        taken = []
        while miner := self.scheduler.try_reserve(job.placement):
            taken.append(miner)
        for miner in taken:
            self.scheduler.release(miner, TEST)
        return len(taken)


@asynccontextmanager
async def stage(
    *miners: MinerPeer, queue_seconds: float = 0.5, payer: BlockPayer | None = None
) -> AsyncIterator[Stage]:
    """Connected miners, each with as many executors as it offers."""
    connections = MinerConnections(VALIDATOR, absence_seconds=5, callbacks=Callbacks())
    scheduler = Scheduler(connections.reachable, manifest_wait_seconds=0)
    recorder = JobRecorder(Outbox())
    settings = RunnerSettings(
        validator=VALIDATOR,
        signers=frozenset(),
        timing=configured().timing,
        queue_seconds=queue_seconds,
        interval=timedelta(minutes=10),
        max_request_age=timedelta(minutes=5),
        payer=payer,
    )
    async with serving(*miners) if miners else nullcontext():
        connections.serve([Address(one.hotkey, "127.0.0.1", one.port) for one in miners])
        for miner in miners:
            assert await connections.connection(miner.hotkey).wait(30)
            offered = {ExecutorClass(name): count for name, count in miner.manifest.items()}
            scheduler.set_manifest(miner.hotkey, offered)
        runner = JobRunner(settings, scheduler, connections, recorder)
        yield Stage(runner, scheduler, connections, recorder)
        await recorder.close()
        await connections.close()


async def test_a_job_runs_to_its_end_is_paid_and_its_executor_is_free_again() -> None:
    miner = extended(MinerPeer())
    async with stage(miner) as on:
        job = await on.stored()
        assert on.free(job) == 2
        await on.runner.run_job(job, None)
        row = await row_of(job.uuid)
        assert (row.state, row.miner) == ("completed", miner.hotkey)
        assert await receipts_of(job.uuid) == [
            "JobStartedReceipt",
            "JobAcceptedReceipt",
            "JobFinishedReceipt",
        ]
        issued = await miner.receives(FinishedReceiptIssued)
        assert issued.payload == job.finished_receipt.payload
        assert on.free(job) == 2


RULE = AllowanceRule(VALIDATOR.ss58_address, RAO_PER_TAO)


async def payer_for(*miners: str) -> BlockPayer:
    """Ten executors at each miner and a quarter of the stake give 30 seconds a block."""
    await in_database(seen, *range(CYCLE.start, CYCLE.stop + 170, 10))
    await in_database(registered, *miners)
    stakes = {VALIDATOR.ss58_address: 10, "other-validator": 30}
    await in_database(offered_to_validators, stakes, *miners)
    return BlockPayer(RULE, AllowanceParameters())


async def test_jobs_that_are_paid_by_allowance_name_blocks_that_pay_for_them() -> None:
    """Two jobs of 70 seconds, which end at once."""
    miner, cycle = extended(MinerPeer()), Cycle(CYCLE.stop, CYCLE.stop + 722, 1)
    async with stage(miner, payer=await payer_for(miner.hotkey)) as on:
        jobs = [await on.stored(execution_time_limit=60) for _ in range(2)]
        await asyncio.gather(*(on.runner.run_job(job, on.runner.try_offer(job)) for job in jobs))
        assert {(await row_of(job.uuid)).state for job in jobs} == {"completed"}
    offered = [job.finished_receipt.payload.block_numbers for job in jobs]
    assert [len(numbers) for numbers in offered] == [3, 3]
    assert len({number for numbers in offered for number in numbers}) == 6
    facts = await in_database(collect, cycle, 12, DEFAULTS[FormulaName.ALLOWANCE], RULE)
    totals = judged(facts, AllowanceParameters())[miner.hotkey, TEST]
    assert (totals.paid, totals.paid_jobs, totals.refused_jobs) == (140 * PICOSECONDS, 2, 0)


async def test_a_job_goes_only_to_miners_at_which_the_allowance_covers_it() -> None:
    poor, rich = extended(MinerPeer()), extended(MinerPeer(keypair=OTHER_MINER))
    payer = await payer_for(rich.hotkey)
    async with stage(poor, rich, payer=payer) as on:
        for _ in range(3):
            job = await on.stored()
            await on.runner.run_job(job, None)
            assert (await row_of(job.uuid)).miner == rich.hotkey
        large = await on.stored(execution_time_limit=30_000)
        await on.runner.run_job(large, None)
        event = await in_database((await row_of(large.uuid)).events.get)
        assert on.free(await on.stored()) == 4
    body = json.loads(event.body)
    assert (event.state, body["reason"]) == ("rejected", "no_miner_for_job")
    assert "allowance does not cover" in body["message"]
    assert body["context"] == {"exception_type": "NotEnoughAllowanceException"}


async def test_a_job_that_its_miner_declines_keeps_no_allowance() -> None:
    no = extended(MinerPeer(declining(RejectionReason.UNKNOWN)))
    async with stage(no, payer=await payer_for(no.hotkey)) as on:
        job = await on.stored()
        await on.runner.run_job(job, None)
        assert (await row_of(job.uuid)).state == "rejected"
    assert not await in_database(SpentBlock.objects.exists)


async def test_an_executor_is_reserved_for_a_new_job_only_if_one_is_free() -> None:
    async with stage(extended(MinerPeer(manifest={"always_on.test": 1}))) as on:
        first, second = await on.stored(), await on.stored()
        offer = on.runner.try_offer(first)
        assert (offer.contract.miner, first.miner) == (first.miner, offer.contract.miner)
        assert offer.started.payload.job_uuid == first.uuid
        assert first.deadline
        assert on.runner.try_offer(second) is None
        await on.runner.run_job(first, offer)
        assert on.runner.try_offer(second)


async def test_a_job_that_one_miner_declines_goes_to_the_next() -> None:
    no = extended(MinerPeer(declining(RejectionReason.UNKNOWN)))
    yes = extended(MinerPeer(keypair=OTHER_MINER))
    async with stage(no, yes) as on:
        for _ in range(3):
            job = await on.stored()
            await on.runner.run_job(job, None)
            assert (await row_of(job.uuid)).miner == yes.hotkey
            assert job.excluded <= {no.hotkey}
        await on.recorder.close()
        refusals = await in_database(lambda: list(RefusedOffer.objects.all()))
        assert {(one.hotkey, one.reason) for one in refusals} == {(no.hotkey, "unknown")}
        assert len(refusals) == len(no.all(JobOffered))
        assert on.free(await on.stored()) == 4


async def test_the_last_decline_is_the_end_when_nobody_else_is_left() -> None:
    no = extended(MinerPeer(declining(RejectionReason.UNKNOWN)))
    async with stage(no) as on:
        job = await on.stored()
        await on.runner.run_job(job, None)
        row = await row_of(job.uuid)
        event = await in_database(row.events.get)
        assert (row.state, event.said_by) == ("rejected", "miner")
        assert str(RejectionReason.UNKNOWN) in event.body
    assert len(no.all(JobOffered)) == 1


async def test_a_job_that_no_miner_can_run_ends_as_rejected() -> None:
    async with stage() as on:
        job = await on.stored()
        await on.runner.run_job(job, None)
        row = await row_of(job.uuid)
        event = await in_database(row.events.get)
        assert (row.state, event.said_by) == ("rejected", "validator")


async def test_a_job_that_waits_is_cancelled_at_once() -> None:
    async with stage(queue_seconds=60) as on:
        on.scheduler.set_manifest("away", {TEST: 1})
        job = await on.stored()
        job.cancel(timezone.now())
        await on.runner.run_job(job, None)
        assert (await row_of(job.uuid)).state == "cancelled"


async def test_an_error_nobody_foresaw_ends_the_job_and_frees_its_executor(monkeypatch) -> None:
    async with stage(extended(MinerPeer())) as on:
        job = await on.stored()

        def fails(*_: object) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(JobRunner, "_interval_issuer", fails)
        await on.runner.run_job(job, None)
        assert (await row_of(job.uuid)).state == "horde_failed"
        assert on.free(job) == 2


async def test_a_job_that_another_listener_took_over_is_left_to_it(caplog) -> None:
    async with stage(extended(MinerPeer())) as on:
        job = await on.stored()
        await in_database(Job.objects.filter(pk=job.uuid).update, state="accepted")
        await on.runner.run_job(job, None)
        assert (await row_of(job.uuid)).state == "accepted"
        assert "taken over" in caplog.text
        assert on.free(job) == 2


async def test_a_resumed_job_whose_miner_left_is_given_to_nobody_else() -> None:
    other = extended(MinerPeer())
    async with stage(other) as on:
        job = await on.stored()
        job.miner = OTHER_MINER.ss58_address
        assert await in_database(store.record, job.transition())
        offer = on.runner.resume_offer(job)
        assert offer.started is None
        await on.runner.run_job(job, offer)
        row = await row_of(job.uuid)
        assert (row.state, row.miner) == ("horde_failed", OTHER_MINER.ss58_address)
        assert await receipts_of(job.uuid) == ["JobFinishedReceipt"]
    assert other.all(JobOffered) == []


async def test_a_resumed_job_is_followed_without_a_second_offer() -> None:
    miner = extended(MinerPeer())
    async with stage(miner) as on:
        job = await on.stored()
        job.miner = miner.hotkey
        assert await in_database(store.record, job.transition())
        read = LiveJob.from_row(await in_database(queries.job, job.uuid))
        offer = on.runner.resume_offer(read)
        assert on.free(read) == 1
        running = asyncio.create_task(on.runner.run_job(read, offer))
        shared = on.connections.connection(miner.hotkey)
        await eventually(lambda: shared.has_inbox(job.uuid))
        # What a miner repeats when its validator is back; the rest it answers to the payload.
        await miner.send(JobAccepted(job_uuid=job.uuid), ExecutorReady(job_uuid=job.uuid))
        await running
        assert read.state is JobState.COMPLETED
        assert on.free(read) == 2
    assert miner.all(JobOffered) == []
