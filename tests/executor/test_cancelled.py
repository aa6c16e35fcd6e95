"""A cancelled job ends at once, at whatever stage it is, and leaves nothing behind."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from compute_horde.protocol.extensions import CancelOrdered, JobCancelled, OutputPrinted
from compute_horde.protocol.job import ExecutionDone, ExecutorReady, VolumesReady
from compute_horde.uploads import ZipPut
from compute_horde.vocabulary import Party, Stage
from compute_horde.volumes import SingleFileVolume
from executor import process
from executor.process import id_of
from executor.sandbox.engine import EXECUTOR
from tests.peers.executors_miner import JOB, TOKEN, Miner, offer, payload, serving

pytestmark = pytest.mark.docker

ORDER = CancelOrdered(job_uuid=JOB)


@pytest.fixture
def working(config, work, engine):
    """A miner whose executor works on this job; the executor has ended after the block."""

    @asynccontextmanager
    async def play(offered, full=None):
        async with serving(Miner(offered, after_ready=full)) as miner:
            settings = config.model_copy(update={"miner_address": miner.address})
            running = asyncio.create_task(process.run_executor(settings, TOKEN, id_of(TOKEN), work))
            yield miner
            async with asyncio.timeout(30):
                await running
        assert await engine.labelled(EXECUTOR, id_of(TOKEN)) == {}

    return play


async def cancelled(miner: Miner) -> JobCancelled:
    """The executor's last message after the cancellation of its job."""
    await miner.socket.send(ORDER.encode())
    ending = await miner.receives(JobCancelled)
    assert ending.reported_by is Party.EXECUTOR
    assert ending.message == "The job was cancelled"
    return ending


async def test_a_running_job_is_killed_and_its_output_so_far_told(working, busybox):
    line = "echo out; echo err >&2; trap '' TERM; sleep 600"
    async with working(offer(busybox), payload(busybox, "sh", "-c", line)) as miner:
        await miner.receives(VolumesReady)
        await miner.receives(OutputPrinted, 2)
        ending = await cancelled(miner)
    assert ending.stage is Stage.EXECUTION
    assert (ending.docker_process_stdout, ending.docker_process_stderr) == ("out\n", "err\n")


async def test_an_executor_that_waits_for_the_full_job_is_cancelled(working, busybox):
    async with working(offer(busybox)) as miner:
        await miner.receives(ExecutorReady)
        ending = await cancelled(miner)
    assert ending.stage is Stage.VOLUME_DOWNLOAD
    assert ending.docker_process_stdout is None


async def test_a_download_is_cancelled(working, busybox, site):
    reached = asyncio.Event()

    async def hang(request):
        reached.set()
        await asyncio.sleep(60)

    site.answers["/hang"] = hang
    volume = SingleFileVolume(url=site / "hang", relative_path="x")
    async with working(offer(busybox, volume=volume)) as miner:
        await reached.wait()
        assert (await cancelled(miner)).stage is Stage.VOLUME_DOWNLOAD


async def test_an_upload_is_cancelled(working, busybox, site):
    async def hang(request):
        await asyncio.sleep(60)

    site.answers["/hang"] = hang
    full = payload(busybox, "echo", "hi", output_upload=ZipPut(url=site / "hang"))
    async with working(offer(busybox), full) as miner:
        await miner.receives(ExecutionDone)
        ending = await cancelled(miner)
    assert (ending.stage, ending.docker_process_stdout) == (Stage.RESULT_UPLOAD, "hi\n")


async def test_a_job_cancelled_with_its_offer_never_begins(working, busybox):
    async with working(offer(busybox)) as miner:
        await miner.connected.wait()
        assert (await cancelled(miner)).job_uuid == JOB
    assert "VolumesReady" not in miner.kinds
