"""The last stages: the output goes to the job's uploads, and the result is put together."""

import asyncio
import base64
from types import SimpleNamespace

import pytest
from aiohttp import web

from compute_horde.protocol.capacity import MachineSpecs
from compute_horde.uploads import FilePut
from compute_horde.vocabulary import Stage
from executor.deadlines import StageDeadlines
from executor.job_context import JobContext
from executor.output.captured_output import CapturedOutput
from executor.stages.upload_stage import ResultStage, UploadStage
from tests.peers.executors_miner import JOB, TIMING, offer, payload


def transcript(folder, data):
    made = CapturedOutput(folder, 2**20)
    made.feed(data)
    return made


@pytest.fixture
def done(config, work):
    """Makes the context of a job whose container has ended."""

    def make(full, stdout=b"out\n", stderr=b"err\n"):
        context = JobContext("executor", None, work, config)
        context.offered, context.job_config, context.payload = offer("i"), config, full
        context.deadlines = StageDeadlines.from_offer(context.offered)
        context.run = SimpleNamespace(
            stdout=transcript(work.scratch, stdout), stderr=transcript(work.scratch, stderr)
        )
        return context

    return make


async def test_the_streams_are_uploaded_as_files(done, site):
    site.answers["/put"] = lambda request: web.Response(text="kept")
    asked = FilePut(url=site / "put", relative_path="stdout.txt")
    context = done(payload("i", output_upload=asked))
    assert await UploadStage().run(context) is None
    ((method, path, _, body),) = site.asked
    assert (method, path, body) == ("PUT", "/put", b"out\n")
    assert list(context.upload_results) == ["stdout.txt"]
    assert "kept" in context.upload_results["stdout.txt"]
    assert context.left_out.all == []


async def test_a_job_without_uploads_leaves_its_output_as_it_is(done, work):
    context = done(payload("i"))
    await UploadStage().run(context)
    assert context.upload_results == {}
    assert list(work.output.iterdir()) == []


async def test_the_result_has_the_output_the_artifacts_and_the_answers(done, work):
    (work.artifacts / "a").write_bytes(b"x")
    context = done(payload("i", artifacts_dir="/artifacts"), stderr=b"\xff")
    await UploadStage().run(context)
    context.upload_results = {"f": "{}"}
    context.left_out("big", 5, "too big")
    assert await ResultStage().run(context) is None
    result = context.finished
    assert (result.job_uuid, result.docker_process_stdout) == (JOB, "out\n")
    assert result.docker_process_stderr.startswith("\N{REPLACEMENT CHARACTER}")
    assert "left out: /output/big" in result.docker_process_stderr
    assert result.artifacts == {"/artifacts/a": base64.b64encode(b"x").decode()}
    assert result.upload_results == {"f": "{}"}
    assert [str(one) for one in result.left_out] == ["/output/big (5 bytes): too big"]
    assert result.raw_output == {"stderr": base64.b64encode(b"\xff").decode()}


async def test_the_hardware_of_a_gpu_machine_precedes_the_result(done):
    context = done(payload("i"))
    await UploadStage().run(context)
    context.specs = context.start(asyncio.sleep(0, {"gpu": 1}))
    assert await ResultStage().run(context) == MachineSpecs(
        job_uuid=JOB, specs={"specs": {"gpu": 1}}
    )
    assert context.finished.job_uuid == JOB


async def test_the_deadline_is_that_of_the_uploads(done):
    context = done(payload("i"))
    before = context.deadlines.left()
    UploadStage().deadline(context)
    assert context.deadlines.left() - before == pytest.approx(TIMING.upload_time_limit, abs=0.1)
    assert {UploadStage.name, ResultStage.name} == {Stage.RESULT_UPLOAD}
    # The result has no limit of its own.
    assert ResultStage().deadline(context).when() is None
