"""What a validator meets at the miner's door and what its jobs come to."""

import json
import time

import pytest

from compute_horde.django.database import in_database
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
from miner.jobs.models import JobEvent
from miner.jobs.output import Mouth
from miner.receipts.models import Receipt
from miner.validators.models import Validator
from tests.miner.conftest import MINER, STRANGER, VALIDATOR, accepted, record
from tests.miner.peers import CLASS, ValidatorPeer

HOTKEY = VALIDATOR.ss58_address


async def test_a_job_goes_all_the_way(scene):
    async with scene() as it:
        executor, validator = await it.executor(), await it.validator()
        offer = validator.offer()
        uuid = offer.job_uuid
        await validator.say(offer)
        assert await validator.hear() == JobAccepted(job_uuid=uuid)
        assert await executor.hear() == offer
        await validator.say(validator.accepted_receipt(uuid))
        await executor.say(ExecutorReady(job_uuid=uuid, executor_token="a secret"))
        assert await validator.hear() == ExecutorReady(job_uuid=uuid, executor_token=None)
        payload = validator.payload(uuid)
        await validator.say(payload)
        assert await executor.hear() == payload
        specs = MachineSpecs(job_uuid=uuid, specs={"specs": {"gpu": {"count": 0}}})
        done = JobFinished(
            job_uuid=uuid, docker_process_stdout="hi\0", docker_process_stderr="", artifacts={}
        )
        for fact in (VolumesReady(job_uuid=uuid), ExecutionDone(job_uuid=uuid), specs, done):
            await executor.say(fact)
            assert await validator.hear() == fact
        await validator.say(validator.finished_receipt(uuid))
        assert await validator.hears_nothing()
        job = await record(uuid)
        assert (job.state, job.stdout, job.exit_status) == (JobState.COMPLETED, "hi", 0)
        assert job.validator_hotkey == HOTKEY
        assert job.time_took.total_seconds() > 0
        assert json.loads(job.payload)["env"] == ["SECRET"]
        assert "hush" not in job.payload
        assert await in_database(Receipt.objects.filter(job_uuid=uuid).count) == 3
        said = await in_database(lambda: [e.state for e in JobEvent.objects.filter(job=uuid)])
        assert said == [
            "accepted",
            "executor_ready",
            "volumes_ready",
            "execution_done",
            "execution_done",
            "completed",
        ]


async def test_the_manifest_comes_first_and_lists_all_executors(scene):
    async with scene(executors={CLASS: 3}) as it:
        peer = ValidatorPeer(it.app, VALIDATOR, MINER.ss58_address)
        await peer.open()
        assert await peer.log_in() == Manifest(manifest={CLASS: 3})


async def test_extensions_are_answered_in_kind(scene):
    async with scene() as it:
        for said, answered in ((["telepathy"], list(Extension)), ([], None)):
            peer = ValidatorPeer(it.app, VALIDATOR, MINER.ss58_address)
            await peer.open()
            await peer.say(_auth(extensions=tuple(said)))
            assert (await peer.raw()).get("extensions") == answered


async def test_an_unknown_validator_is_told_so_and_held_before_it_is_closed(scene):
    async with scene(reject_seconds=0.3) as it:
        peer = ValidatorPeer(it.app, STRANGER, MINER.ss58_address)
        assert await peer.open()
        text = f"Unknown validator: {STRANGER.ss58_address}"
        assert await peer.hear() == GenericError(details=text)
        assert await peer.hears_nothing()
        assert await peer.closed() == 1000


async def test_an_inactive_validator_is_told_so(scene):
    async with scene() as it:
        hotkey = STRANGER.ss58_address
        await in_database(Validator.objects.create, hotkey=hotkey, active=False)
        await it.miner.directory.read()
        peer = ValidatorPeer(it.app, STRANGER, MINER.ss58_address)
        await peer.open()
        assert await peer.hear() == GenericError(details=f"Inactive validator: {hotkey}")


async def test_a_storm_of_strangers_is_refused_before_the_handshake(scene):
    async with scene(reject_seconds=5, strangers_per_address=2) as it:
        peers = [ValidatorPeer(it.app, STRANGER, MINER.ss58_address) for _ in range(3)]
        assert [await peer.open() for peer in peers] == [True, True, False]
        await peers[0].close()
        late = ValidatorPeer(it.app, STRANGER, MINER.ss58_address)
        assert await late.open()


async def test_a_validator_logged_in_is_no_stranger_any_more(scene):
    async with scene(strangers_per_address=1) as it:
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
async def test_a_bad_introduction_is_refused_with_its_cause(scene, change, cause):
    async with scene() as it:
        peer = ValidatorPeer(it.app, VALIDATOR, MINER.ss58_address)
        await peer.open()
        await peer.say(_auth(**change))
        text = f"Validator {HOTKEY} not authenticated due to: {cause}"
        assert await peer.hear() == GenericError(details=text)
        await peer.say(MainHotkey())
        assert await peer.closed() == 1000


async def test_what_is_said_before_the_introduction_is_done_after_it(scene):
    async with scene() as it:
        await it.executor()
        peer = ValidatorPeer(it.app, VALIDATOR, MINER.ss58_address)
        await peer.open()
        offer = peer.offer()
        await peer.say(offer)
        assert await peer.hears_nothing()
        assert isinstance(await peer.log_in(), Manifest)
        assert await peer.hear() == JobAccepted(job_uuid=offer.job_uuid)


async def test_little_is_kept_of_what_is_said_before_the_introduction(scene):
    async with scene() as it:
        peer = ValidatorPeer(it.app, VALIDATOR, MINER.ss58_address)
        await peer.open()
        for _ in range(9):
            await peer.say(MainHotkey())
        assert "too much" in (await peer.hear()).details
        assert isinstance(await peer.log_in(), Manifest)
        assert await peer.hear_all(8) == ["MainHotkey"] * 8


async def test_the_main_hotkey_is_told(scene):
    async with scene() as it:
        validator = await it.validator()
        await validator.say(MainHotkey())
        assert await validator.hear() == MainHotkey(main_hotkey=MINER.ss58_address)


async def test_nonsense_is_answered_and_the_line_stays_open(scene):
    async with scene() as it:
        validator = await it.validator()
        for nonsense in ("{", "[]", '{"message_type":"Nothing"}', '"' + "x" * (50 * 2**20 + 1)):
            await validator.say(nonsense)
            assert isinstance(await validator.hear(), GenericError)
        await validator.say(GenericError(details="I do not like you"))
        await validator.say(MainHotkey())
        assert isinstance(await validator.hear(), MainHotkey)


async def test_a_validator_to_which_nothing_can_be_said_is_sent_away(scene, monkeypatch):
    async def broken(self):
        raise ValueError("no words for it")

    async with scene() as it:
        executor, validator, uuid = await accepted(it)
        monkeypatch.setattr(Mouth, "next", broken)
        await executor.say(VolumesReady(job_uuid=uuid))
        await executor.say(ExecutionDone(job_uuid=uuid))
        while (event := await validator._event())["type"] == "websocket.send":
            assert "message_type" in event["text"]
        assert event["code"] == 1011
