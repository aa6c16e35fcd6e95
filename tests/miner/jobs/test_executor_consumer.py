"""The messages that an executor may send, and the failure of its job after an error."""

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


async def test_an_unknown_token_is_refused(run_miner):
    async with run_miner() as it:
        peer = ExecutorPeer(it.app, "guess")
        await peer.open()
        assert await peer.receive() == GenericError(details="No job waiting for token guess")
        assert await peer.closed() == 1000


async def test_a_token_is_valid_for_one_connection(run_miner):
    async with run_miner() as it:
        await it.executor()
        again = ExecutorPeer(it.app, it.manager.tokens[0])
        await again.open()
        assert isinstance(await again.receive(), GenericError)


async def test_an_executor_that_disconnects_fails_its_job_and_is_replaced(run_miner):
    async with run_miner() as it:
        executor, validator, uuid = await accepted(it)
        name = it.miner.pool.executors[0].id
        await executor.close(1006)
        assert await validator.receive() == HordeFailed(
            job_uuid=uuid,
            reported_by=Party.MINER,
            reason=HordeReason.EXECUTOR_DISCONNECTED,
            message=f"Executor {name} disconnected while job was running (code: 1006)",
            context={"stage": "volume_download"},
        )
        assert (await record(uuid)).state == JobState.HORDE_FAILED
        await it.executor(1)


async def test_an_executor_process_that_dies_fails_its_job(run_miner):
    async with run_miner() as it:
        _, validator, uuid = await accepted(it)
        it.manager.on_exit(it.manager.tokens[0], "exit code -9")
        ending = await validator.receive()
        assert (ending.job_uuid, ending.reason) == (uuid, HordeReason.EXECUTOR_DISCONNECTED)
        assert "exit code -9" in ending.message


async def test_an_executor_that_sends_messages_out_of_order_fails_its_job(run_miner):
    async with run_miner() as it:
        executor, validator, uuid = await accepted(it)
        await executor.send(
            JobFinished(job_uuid=uuid, docker_process_stdout="", docker_process_stderr="")
        )
        ending = await validator.receive()
        assert (type(ending), ending.reason) == (HordeFailed, HordeReason.GENERIC_ERROR)
        assert "completed cannot follow executor_ready" in ending.message


async def test_an_executor_that_sends_an_invalid_message_fails_its_job(run_miner):
    async with run_miner() as it:
        executor, validator, _ = await accepted(it)
        await executor.send("nonsense")
        assert "Malformed" in (await validator.receive()).message


async def test_an_executor_that_reports_an_error_fails_its_job(run_miner):
    async with run_miner() as it:
        executor, validator, _ = await accepted(it)
        await executor.send(GenericError(details="out of paper"))
        assert "out of paper" in (await validator.receive()).message


async def test_an_executor_may_send_messages_about_its_own_job_only(run_miner):
    async with run_miner() as it:
        executor, validator, _ = await accepted(it)
        await executor.send(VolumesReady(job_uuid="00000000-0000-4000-8000-000000000000"))
        assert "about its own job only" in (await validator.receive()).message


async def test_a_repeated_message_is_forwarded_once(run_miner):
    async with run_miner() as it:
        executor, validator, uuid = await accepted(it)
        for message in (VolumesReady, VolumesReady, ExecutionDone):
            await executor.send(message(job_uuid=uuid))
        assert await validator.receive_names(2) == ["VolumesReady", "ExecutionDone"]


async def test_a_streaming_address_is_filled_in_and_signed(run_miner):
    async with run_miner(streaming_images=("*",)) as it:
        executor, validator = await it.executor(), await it.validator()
        offer = validator.offer(streaming_details=StreamingDetails(public_key="user's"))
        await validator.send(offer)
        assert (await executor.receive()).streaming_details.executor_ip == "192.0.2.7"
        for message in (
            ExecutorReady(job_uuid=offer.job_uuid),
            VolumesReady(job_uuid=offer.job_uuid),
        ):
            await executor.send(message)
        await executor.send(
            StreamingReady(
                job_uuid=offer.job_uuid, executor_token="t", public_key="cert", port=6006
            )
        )
        assert await validator.receive_names(3) == ["JobAccepted", "ExecutorReady", "VolumesReady"]
        ready = await validator.receive()
        assert (ready.ip, ready.executor_token) == ("192.0.2.7", None)
        verify_hex(MINER.ss58_address, ready.blob(), ready.miner_signature)


async def test_a_job_that_exceeds_its_time_budget_is_ended(run_miner):
    async with run_miner(grace_seconds=-16.9, startup_seconds=5) as it:
        # The class promises 3 s, the check 5 s, the job itself 9 s: 17 s, of which 0.1 are left.
        executor, validator, uuid = await accepted(it)
        ending = await validator.receive()
        assert (ending.job_uuid, ending.reason) == (uuid, HordeReason.VOLUMES_TIMED_OUT)
        await it.manager.has_killed(it.manager.tokens[0])
        assert executor


async def test_no_image_may_serve_users_by_default(run_miner):
    async with run_miner() as it:
        validator = await it.validator()
        await validator.send(
            validator.offer(streaming_details=StreamingDetails(public_key="user's"))
        )
        declined = await validator.receive()
        assert declined.message == "this miner serves no streaming jobs of image 'busybox'"


async def test_another_image_than_the_one_on_the_list_is_not_run(run_miner):
    async with run_miner(streaming_images=("busybox",)) as it:
        executor, validator = await it.executor(), await it.validator()
        offer = validator.offer(streaming_details=StreamingDetails(public_key="user's"))
        await validator.send(offer)
        await executor.receive()
        await executor.send(ExecutorReady(job_uuid=offer.job_uuid))
        assert await validator.receive_names(2) == ["JobAccepted", "ExecutorReady"]
        await validator.send(validator.payload(offer.job_uuid, docker_image="hostile"))
        assert "another image than offered" in (await validator.receive()).details
