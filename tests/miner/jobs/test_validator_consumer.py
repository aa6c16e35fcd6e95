"""Logins of validators, their messages, and their jobs."""

import asyncio
import json
import time

import pytest

from compute_horde.django.database import in_database
from compute_horde.django.guarded_websocket import TRUST
from compute_horde.protocol.capacity import MachineSpecs, MainHotkey, Manifest
from compute_horde.protocol.handshake import GenericError, ValidatorAuth
from compute_horde.protocol.job import (
    ExecutionDone,
    ExecutorReady,
    JobAccepted,
    JobFinished,
    VolumesReady,
)
from compute_horde.vocabulary import Extension, JobState
from miner.jobs import output_relay, validator_consumer
from miner.jobs.intake import JobIntake
from miner.jobs.models import JobEvent
from miner.jobs.output_relay import OutboundQueue
from miner.jobs.validator_consumer import ValidatorConsumer
from miner.receipts.models import Receipt
from miner.validators.models import Validator
from tests.miner.conftest import MINER, PARTIES, STRANGER, VALIDATOR, accepted, record
from tests.miner.peers import CLASS, ValidatorPeer

HOTKEY = VALIDATOR.ss58_address


async def test_a_job_runs_from_offer_to_receipt(run_miner):
    async with run_miner() as it:
        executor, validator = await it.executor(), await it.validator()
        offer = validator.offer()
        uuid = offer.job_uuid
        await validator.send(offer)
        assert await validator.receive() == JobAccepted(job_uuid=uuid)
        assert await executor.receive() == offer
        await validator.send(validator.accepted_receipt(uuid))
        await executor.send(ExecutorReady(job_uuid=uuid, executor_token="a secret"))
        assert await validator.receive() == ExecutorReady(job_uuid=uuid, executor_token=None)
        payload = validator.payload(uuid)
        await validator.send(payload)
        assert await executor.receive() == payload
        specs = MachineSpecs(job_uuid=uuid, specs={"specs": {"gpu": {"count": 0}}})
        done = JobFinished(
            job_uuid=uuid, docker_process_stdout="hi\0", docker_process_stderr="", artifacts={}
        )
        for message in (VolumesReady(job_uuid=uuid), ExecutionDone(job_uuid=uuid), specs, done):
            await executor.send(message)
            assert await validator.receive() == message
        await validator.send(validator.finished_receipt(uuid))
        assert await validator.receives_nothing()
        job = await record(uuid)
        assert (job.state, job.stdout, job.exit_status) == (JobState.COMPLETED, "hi\ufffd", 0)
        assert job.validator_hotkey == HOTKEY
        assert job.time_took.total_seconds() > 0
        assert json.loads(job.payload)["env"] == ["SECRET"]
        assert "hush" not in job.payload
        assert await in_database(Receipt.objects.filter(job_uuid=uuid).count) == 3
        states = await in_database(lambda: [e.state for e in JobEvent.objects.filter(job=uuid)])
        assert states == [
            "accepted",
            "executor_ready",
            "volumes_ready",
            "execution_done",
            "execution_done",
            "completed",
        ]


async def test_the_manifest_comes_first_and_lists_all_executors(run_miner):
    async with run_miner(executors={CLASS: 3}) as it:
        peer = ValidatorPeer(it.app, VALIDATOR, MINER.ss58_address)
        await peer.open()
        assert await peer.log_in() == Manifest(manifest={CLASS: 3})


async def test_extensions_are_answered_in_kind(run_miner):
    async with run_miner() as it:
        for announced, answered in ((["telepathy"], list(Extension)), ([], None)):
            peer = ValidatorPeer(it.app, VALIDATOR, MINER.ss58_address)
            await peer.open()
            await peer.send(_auth(extensions=tuple(announced)))
            assert (await peer.receive_raw()).get("extensions") == answered


async def test_an_unknown_validator_gets_an_error_and_is_held_before_it_is_closed(run_miner):
    async with run_miner(reject_seconds=1) as it:
        peer = ValidatorPeer(it.app, STRANGER, MINER.ss58_address)
        assert await peer.open()
        text = f"Unknown validator: {STRANGER.ss58_address}"
        assert await peer.receive() == GenericError(details=text)
        assert await peer.receives_nothing()
        assert await peer.closed() == 1000


async def test_an_inactive_validator_gets_an_error(run_miner):
    async with run_miner() as it:
        hotkey = STRANGER.ss58_address
        await in_database(Validator.objects.create, hotkey=hotkey, active=False)
        await it.miner.directory.read()
        peer = ValidatorPeer(it.app, STRANGER, MINER.ss58_address)
        await peer.open()
        assert await peer.receive() == GenericError(details=f"Inactive validator: {hotkey}")


async def test_connections_without_login_are_limited_before_the_handshake(run_miner):
    async with run_miner(reject_seconds=60, strangers_per_address=2) as it:
        peers = [ValidatorPeer(it.app, STRANGER, MINER.ss58_address) for _ in range(3)]
        assert [await peer.open() for peer in peers] == [True, True, False]
        await peers[0].close()
        late = ValidatorPeer(it.app, STRANGER, MINER.ss58_address)
        assert await late.open()


async def test_a_validator_that_logged_in_no_longer_counts_towards_the_limit(run_miner):
    async with run_miner(strangers_per_address=1) as it:
        assert await it.validator()
        assert await it.validator()


def _auth(**changes) -> ValidatorAuth:
    now = int(time.time())
    stamp = now + changes.pop("seconds", 0)
    auth = ValidatorAuth.signed(changes.pop("signer", VALIDATOR), MINER.ss58_address, stamp)
    return auth.model_copy(update=changes)


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"seconds": -11}, "msg too old"),
        ({"seconds": 12}, "msg from the future"),
        (
            {"miner_hotkey": STRANGER.ss58_address},
            f"wrong miner hotkey ({STRANGER.ss58_address}!={MINER.ss58_address})",
        ),
        ({"signer": STRANGER}, f"wrong validator hotkey ({STRANGER.ss58_address}!={HOTKEY})"),
        ({"signature": "0x" + "00" * 64}, "Signature mismatches"),
    ],
)
async def test_an_invalid_login_is_refused_with_the_reason(run_miner, change, cause):
    async with run_miner() as it:
        peer = ValidatorPeer(it.app, VALIDATOR, MINER.ss58_address)
        await peer.open()
        await peer.send(_auth(**change))
        text = f"Validator {HOTKEY} not authenticated due to: {cause}"
        assert await peer.receive() == GenericError(details=text)
        await peer.send(MainHotkey())
        assert await peer.closed() == 1000


async def test_a_validator_with_too_many_connections_gets_an_error_and_is_not_logged_in(run_miner):
    async with run_miner() as it:
        peer = ValidatorPeer(it.app, VALIDATOR, MINER.ss58_address)
        trusted = []
        peer.scope[TRUST] = trusted.append
        await peer.open()
        refused = await peer.log_in()
        assert "too many connections" in refused.details
        assert trusted == [HOTKEY]
        assert await peer.closed() == 1000


async def test_messages_before_the_login_are_handled_after_it(run_miner):
    async with run_miner() as it:
        await it.executor()
        peer = ValidatorPeer(it.app, VALIDATOR, MINER.ss58_address)
        await peer.open()
        offer = peer.offer()
        await peer.send(offer)
        assert await peer.receives_nothing()
        assert isinstance(await peer.log_in(), Manifest)
        assert await peer.receive() == JobAccepted(job_uuid=offer.job_uuid)


async def test_messages_kept_before_the_login_are_limited(run_miner):
    async with run_miner() as it:
        peer = ValidatorPeer(it.app, VALIDATOR, MINER.ss58_address)
        await peer.open()
        for _ in range(9):
            await peer.send(MainHotkey())
        assert "too many messages" in (await peer.receive()).details
        assert isinstance(await peer.log_in(), Manifest)
        assert await peer.receive_names(8) == ["MainHotkey"] * 8


async def test_the_main_hotkey_is_answered(run_miner):
    async with run_miner() as it:
        validator = await it.validator()
        await validator.send(MainHotkey())
        assert await validator.receive() == MainHotkey(main_hotkey=MINER.ss58_address)


async def test_invalid_messages_are_answered_and_the_connection_stays_open(run_miner):
    async with run_miner() as it:
        validator = await it.validator()
        for invalid in ("{", "[]", '{"message_type":"Nothing"}', '"' + "x" * (50 * 2**20 + 1)):
            await validator.send(invalid)
            assert isinstance(await validator.receive(), GenericError)
        await validator.send(GenericError(details="I do not like you"))
        await validator.send(MainHotkey())
        assert isinstance(await validator.receive(), MainHotkey)


async def test_a_validator_to_which_sending_fails_is_disconnected(run_miner, monkeypatch):
    async def broken(self):
        raise ValueError("no words for it")

    async with run_miner() as it:
        executor, validator, uuid = await accepted(it)
        monkeypatch.setattr(OutboundQueue, "next", broken)
        await executor.send(VolumesReady(job_uuid=uuid))
        await executor.send(ExecutionDone(job_uuid=uuid))
        while (event := await validator._event())["type"] == "websocket.send":
            assert "message_type" in event["text"]
        assert event["code"] == 1011


async def test_a_recorded_login_opens_no_second_connection(run_miner):
    async with run_miner() as it:
        login = ValidatorAuth.signed(VALIDATOR, MINER.ss58_address, int(time.time()))
        first, second = (ValidatorPeer(it.app, VALIDATOR, MINER.ss58_address) for _ in range(2))
        for peer in (first, second):
            await peer.open()
            await peer.send(login)
        assert isinstance(await first.receive(), Manifest)
        assert "used before" in (await second.receive()).details
        await second.closed()
        # Written in another way, it is the same signature.
        third = ValidatorPeer(it.app, VALIDATOR, MINER.ss58_address)
        await third.open()
        upper_case = "0x" + login.signature[2:].upper()
        await third.send(login.model_copy(update={"signature": upper_case}))
        assert "used before" in (await third.receive()).details


async def test_a_validator_may_open_many_connections_in_the_same_second(run_miner):
    async with run_miner() as it:
        now = int(time.time())
        for _ in range(5):
            peer = ValidatorPeer(it.app, VALIDATOR, MINER.ss58_address)
            await peer.open()
            await peer.send(ValidatorAuth.signed(VALIDATOR, MINER.ss58_address, now))
            assert isinstance(await peer.receive(), Manifest)


async def test_a_login_from_before_the_miner_started_is_refused(run_miner):
    async with run_miner() as it:
        peer = ValidatorPeer(it.app, VALIDATOR, MINER.ss58_address)
        await peer.open()
        await peer.send(ValidatorAuth.signed(VALIDATOR, MINER.ss58_address, int(time.time()) - 8))
        assert "older than this miner's start" in (await peer.receive()).details


async def test_messages_that_a_socket_does_not_read_are_limited_and_sent_again_after_a_reconnect(
    run_miner, monkeypatch
):
    large = "x" * (output_relay.SOCKET_MESSAGE_BYTES // 4)
    async with run_miner() as it:
        executor, validator, uuid = await accepted(it)
        never, before = asyncio.Event(), output_relay.waiting_messages.held

        async def reads_nothing(self, text):
            await never.wait()

        send, sockets = ValidatorConsumer._send, it.miner.validator_sockets._sockets[PARTIES]
        monkeypatch.setattr(ValidatorConsumer, "_send", reads_nothing)
        for _ in range(20):
            sockets[0].enqueue(large, uuid)
            assert output_relay.waiting_messages.held - before <= output_relay.SOCKET_MESSAGE_BYTES
        assert await validator.closed() == 1011
        await validator.close(1011)
        assert output_relay.waiting_messages.held == before
        monkeypatch.setattr(ValidatorConsumer, "_send", send)
        await executor.send(VolumesReady(job_uuid=uuid))
        back = await it.validator()
        assert await back.receive_names(3) == [
            "JobAccepted",
            "ExecutorReady",
            "VolumesReady",
        ]


async def test_messages_being_handled_are_limited_in_bytes(run_miner, monkeypatch):
    monkeypatch.setattr(validator_consumer, "CONNECTION_WORK_BYTES", 100_000)
    waiting = asyncio.Event()

    async def slow(self, *_):
        await waiting.wait()

    async with run_miner() as it:
        monkeypatch.setattr(JobIntake, "handle_offer", slow)
        validator = await it.validator()
        offer = validator.offer(docker_image="x" * 30_000)
        for _ in range(20):
            await validator.send(offer)
        await validator.send(MainHotkey())
        assert await validator.receives_nothing()
        assert 0 < validator_consumer.all_work.held <= 110_000
        waiting.set()
        assert isinstance(await validator.receive(), MainHotkey)
    assert validator_consumer.all_work.held == 0
