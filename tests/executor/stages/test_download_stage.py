"""The download stage: volumes of the offer and of the job, and the image that the job names."""

import asyncio
import base64

import pytest
from aiohttp import web

from compute_horde.errors import HordeError
from compute_horde.faults import Cause
from compute_horde.protocol.job import VolumesReady
from compute_horde.vocabulary import HordeReason, Stage
from compute_horde.volumes import InlineVolume, SingleFileVolume
from executor.deadlines import StageDeadlines
from executor.inbox import MinerInbox
from executor.job_context import JobContext
from executor.output.live_output import LiveOutputSender
from executor.sandbox.engine import Image
from executor.stages.download_stage import DownloadStage
from tests.executor.conftest import zipped
from tests.executor.scripted_stages import RecordingSocket
from tests.peers.executors_miner import JOB, TIMING, offer, payload

IMAGE = Image("id", "digest", "", (), {}, ())


def inline(name):
    contents = base64.b64encode(zipped((name, b"x"))).decode()
    return InlineVolume(contents=contents, relative_path=None)


@pytest.fixture
def ready(config, work):
    """Makes the context of a job whose executor is ready and whose image is there."""

    def make(offered, engine=None):
        line = RecordingSocket([])
        context = JobContext("executor", engine, work, config)
        context.inbox, context.send = MinerInbox(line), line.send
        context.offered, context.job_config = offered, config
        context.live_output = LiveOutputSender(line.send, JOB, lambda: Stage.VOLUME_DOWNLOAD)
        context.deadlines = StageDeadlines.from_offer(offered)
        context.pulling = context.start(asyncio.sleep(0, IMAGE))
        return context

    return make


def names(work):
    return sorted(path.name for path in work.volume.iterdir())


async def test_volumes_of_the_offer_are_fetched_before_the_job_is_there(ready, work, site):
    asked = asyncio.Event()

    def answer(request):
        asked.set()
        return web.Response(body=b"f")

    site.answers["/f"] = answer
    context = ready(offer("i", volume=SingleFileVolume(url=site / "f", relative_path="f")))
    running = context.start(DownloadStage().run(context))
    await asyncio.wait_for(asked.wait(), 10)
    assert not running.done()
    full = payload("i")
    context.inbox.payload.set_result(full)
    assert await running == VolumesReady(job_uuid=JOB)
    assert names(work) == ["f"]
    assert (context.payload, context.image) == (full, IMAGE)


async def test_volumes_of_the_job_are_fetched_too(ready, work):
    context = ready(offer("i"))
    context.inbox.payload.set_result(payload("i", volume=inline("a")))
    assert await DownloadStage().run(context) == VolumesReady(job_uuid=JOB)
    assert names(work) == ["a"]


async def test_volumes_of_both_are_an_error(ready):
    context = ready(offer("i", volume=inline("a")))
    context.inbox.payload.set_result(payload("i", volume=inline("b")))
    with pytest.raises(HordeError, match="with the offer and with the job") as caught:
        await DownloadStage().run(context)
    assert caught.value.reason is HordeReason.GENERIC_ERROR
    await context.end_tasks()


@pytest.mark.parametrize("offered", [None, "executor-tests/other"])
async def test_an_image_that_only_the_job_names_is_obtained(ready, engine, busybox, offered):
    context = ready(offer(offered), engine)
    context.inbox.payload.set_result(payload(busybox))
    stage = DownloadStage()
    await stage.run(context)
    assert context.image != IMAGE
    assert busybox in context.image.names
    stage.clean_up()


async def test_a_job_that_does_not_come_is_not_the_jobs_fault(ready):
    context = ready(offer("i"))
    stage = DownloadStage()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(stage.run(context), 0.01)
    error = stage.timeout_error()
    assert error.reason is HordeReason.UNHANDLED_TIMEOUT
    assert error.context == Cause.NO_PAYLOAD.context
    await context.end_tasks()


async def test_slow_volumes_of_a_job_are_the_jobs_fault(ready, site):
    hung = asyncio.Event()

    async def answer(request):
        await hung.wait()
        return web.Response()

    site.answers["/f"] = answer
    context = ready(offer("i"))
    slow = SingleFileVolume(url=site / "f", relative_path="f")
    context.inbox.payload.set_result(payload("i", volume=slow))
    stage = DownloadStage()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(stage.run(context), 0.2)
    assert stage.timeout_error() is None
    hung.set()


async def test_the_deadline_is_that_of_the_inputs(ready):
    context = ready(offer("i"))
    stage = DownloadStage()
    assert stage.name is Stage.VOLUME_DOWNLOAD
    before = context.deadlines.left()
    stage.deadline(context)
    assert context.deadlines.left() - before == pytest.approx(TIMING.download_time_limit, abs=0.1)
    await context.end_tasks()
