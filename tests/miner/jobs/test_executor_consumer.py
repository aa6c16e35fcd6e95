"""What an executor may say, and what becomes of its job when it goes wrong."""

from compute_horde.protocol.handshake import GenericError
from compute_horde.protocol.job import (
    ExecutionDone,
    ExecutorReady,
    HordeFailed,
    JobFinished,
    StreamingDetails,
    StreamingReady,
    VolumesReady,
)
from compute_horde.signing import verify_hex
from compute_horde.vocabulary import HordeReason, JobState, Party
from tests.miner.conftest import MINER, accepted, record
from tests.miner.peers import ExecutorPeer


async def test_a_token_nobody_gave_out_is_refused(scene):
    async with scene() as it:
        peer = ExecutorPeer(it.app, "guess")
        await peer.open()
        assert await peer.hear() == GenericError(details="No job waiting for token guess")
        assert await peer.closed() == 1000


async def test_a_token_is_good_for_one_connection(scene):
    async with scene() as it:
        await it.executor()
        again = ExecutorPeer(it.app, it.manager.tokens[0])
        await again.open()
        assert isinstance(await again.hear(), GenericError)


async def test_an_executor_that_hangs_up_fails_its_job_and_is_replaced(scene):
    async with scene() as it:
        executor, validator, uuid = await accepted(it)
        name = it.miner.pool.executors[0].id
        await executor.close(1006)
        assert await validator.hear() == HordeFailed(
            job_uuid=uuid,
            reported_by=Party.MINER,
            reason=HordeReason.EXECUTOR_DISCONNECTED,
            message=f"Executor {name} disconnected while job was running (code: 1006)",
            context={"stage": "volume_download"},
        )
        assert (await record(uuid)).state == JobState.HORDE_FAILED
        await it.executor(1)


async def test_an_executor_process_that_dies_fails_its_job(scene):
    async with scene() as it:
        _, validator, uuid = await accepted(it)
        it.manager.on_exit(it.manager.tokens[0], "exit code -9")
        ending = await validator.hear()
        assert (ending.job_uuid, ending.reason) == (uuid, HordeReason.EXECUTOR_DISCONNECTED)
        assert "exit code -9" in ending.message


async def test_an_executor_that_breaks_the_order_fails_its_job(scene):
    async with scene() as it:
        executor, validator, uuid = await accepted(it)
        await executor.say(
            JobFinished(job_uuid=uuid, docker_process_stdout="", docker_process_stderr="")
        )
        ending = await validator.hear()
        assert (type(ending), ending.reason) == (HordeFailed, HordeReason.GENERIC_ERROR)
        assert "completed cannot follow executor_ready" in ending.message


async def test_an_executor_that_speaks_nonsense_fails_its_job(scene):
    async with scene() as it:
        executor, validator, _ = await accepted(it)
        await executor.say("nonsense")
        assert "Malformed" in (await validator.hear()).message


async def test_an_executor_that_complains_fails_its_job(scene):
    async with scene() as it:
        executor, validator, _ = await accepted(it)
        await executor.say(GenericError(details="out of paper"))
        assert "out of paper" in (await validator.hear()).message


async def test_an_executor_speaks_only_of_its_own_job(scene):
    async with scene() as it:
        executor, validator, _ = await accepted(it)
        await executor.say(VolumesReady(job_uuid="00000000-0000-4000-8000-000000000000"))
        assert "only of its own job" in (await validator.hear()).message


async def test_a_fact_said_twice_is_told_once(scene):
    async with scene() as it:
        executor, validator, uuid = await accepted(it)
        for fact in (VolumesReady, VolumesReady, ExecutionDone):
            await executor.say(fact(job_uuid=uuid))
        assert await validator.hear_all(2) == ["VolumesReady", "ExecutionDone"]


async def test_a_streaming_address_is_filled_in_and_signed(scene):
    async with scene(streaming_images=("*",)) as it:
        executor, validator = await it.executor(), await it.validator()
        offer = validator.offer(streaming_details=StreamingDetails(public_key="user's"))
        await validator.say(offer)
        assert (await executor.hear()).streaming_details.executor_ip == "192.0.2.7"
        for fact in (ExecutorReady(job_uuid=offer.job_uuid), VolumesReady(job_uuid=offer.job_uuid)):
            await executor.say(fact)
        await executor.say(
            StreamingReady(
                job_uuid=offer.job_uuid, executor_token="t", public_key="cert", port=6006
            )
        )
        assert await validator.hear_all(3) == ["JobAccepted", "ExecutorReady", "VolumesReady"]
        ready = await validator.hear()
        assert (ready.ip, ready.executor_token) == ("192.0.2.7", None)
        verify_hex(MINER.ss58_address, ready.blob(), ready.miner_signature)


async def test_a_job_that_outlives_its_budget_is_ended(scene):
    async with scene(grace_seconds=-16.9, startup_seconds=5) as it:
        # The class promises 3 s, the check 5 s, the job itself 9 s: 17 s, of which 0.1 are left.
        executor, validator, uuid = await accepted(it)
        ending = await validator.hear()
        assert (ending.job_uuid, ending.reason) == (uuid, HordeReason.VOLUMES_TIMED_OUT)
        await it.manager.has_killed(it.manager.tokens[0])
        assert executor


async def test_users_are_let_into_no_image_by_default(scene):
    async with scene() as it:
        validator = await it.validator()
        await validator.say(
            validator.offer(streaming_details=StreamingDetails(public_key="user's"))
        )
        declined = await validator.hear()
        assert declined.message == "this miner serves no streaming jobs of image 'busybox'"


async def test_another_image_than_the_one_on_the_list_is_not_run(scene):
    async with scene(streaming_images=("busybox",)) as it:
        executor, validator = await it.executor(), await it.validator()
        offer = validator.offer(streaming_details=StreamingDetails(public_key="user's"))
        await validator.say(offer)
        await executor.hear()
        await executor.say(ExecutorReady(job_uuid=offer.job_uuid))
        assert await validator.hear_all(2) == ["JobAccepted", "ExecutorReady"]
        await validator.say(validator.payload(offer.job_uuid, docker_image="hostile"))
        assert "another image than offered" in (await validator.hear()).details
