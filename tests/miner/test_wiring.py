"""A miner's parts are made from its settings, and opened and closed in order."""

from datetime import timedelta
from uuid import uuid4

from compute_horde import signing
from compute_horde.django.database import in_database
from compute_horde.vocabulary import JobState
from miner import wiring
from miner.config import config
from miner.jobs.models import Job
from miner.other_copy import INSTANCE_HEADER, PURPOSE, SIGNATURE_HEADER, instance_id
from miner.wiring import Miner
from tests.miner.conftest import MINER, SETTINGS, accepted, record
from tests.miner.peers import CLASS

NONCE = "0" * 32


def test_the_policy_is_that_of_the_settings():
    changed = {
        "check_receipts": False,
        "require_validator_signature": True,
        "trusted": True,
        "startup_seconds": 7,
        "grace_seconds": 8.5,
        "streaming_images": ("a", "b"),
    }
    policy = wiring.job_policy(config.model_copy(update=changed))
    assert (policy.check_receipts, policy.require_signature, policy.trusted) == (False, True, True)
    assert (policy.startup, policy.grace) == (timedelta(seconds=7), timedelta(seconds=8.5))
    assert policy.streaming_images == ("a", "b")


def test_containers_belong_to_the_hotkey_unless_the_settings_name_an_owner():
    settings = wiring.manager_settings(config.model_copy(update=SETTINGS), MINER)
    assert settings.owner == MINER.ss58_address
    assert settings.counts == {CLASS: 1}
    named = config.model_copy(update={"owner": "rack-7"})
    assert wiring.manager_settings(named, MINER).owner == "rack-7"


async def test_opening_ends_the_jobs_of_an_earlier_process_and_starts_executors(run_miner):
    uuid = str(uuid4())
    await in_database(Job.objects.create, uuid=uuid, state=JobState.ACCEPTED, executor_token="x")
    async with run_miner() as it:
        assert (await record(uuid)).state == JobState.HORDE_FAILED
        await it.manager.has_started(0)


async def test_an_announced_miner_proves_which_instance_it_is_and_no_other(run_miner):
    async with run_miner() as it:
        proof = it.miner.instance_proof(NONCE)
        own = await in_database(instance_id)
        assert proof[INSTANCE_HEADER] == own
        blob = signing.colon_text(PURPOSE, own, NONCE)
        signing.verify_hex(MINER.ss58_address, blob, proof[SIGNATURE_HEADER])
    for changes in ({"trusted": True}, {"serving": False}):
        miner = Miner(config.model_copy(update=SETTINGS | changes), MINER)
        assert miner.instance_proof(NONCE) == {}


async def test_draining_ends_jobs_and_stops_executors_and_refuses_new_jobs(run_miner):
    async with run_miner() as it:
        _, validator, uuid = await accepted(it)
        await it.miner.drain()
        assert (await record(uuid)).state == JobState.HORDE_FAILED
        await it.manager.has_killed(it.manager.tokens[0])
        assert it.miner.pool.reserve(CLASS, None) is None
        assert await validator.receive_names(1) == ["HordeFailed"]
        offer = validator.offer()
        await validator.send(offer)
        assert await validator.receive_names(1) == ["JobDeclined"]


async def test_closing_stops_following_the_validators(run_miner):
    async with run_miner() as it:
        miner = it.miner
        assert not any(task.done() for task in miner._following)
    assert miner.is_closing
    assert all(task.done() for task in miner._following)
