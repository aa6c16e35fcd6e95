"""Whole jobs against a scripted miner and the real engine."""

import asyncio
import base64
import io
import zipfile

import pytest
from aiohttp import web

from compute_horde.hardware import ExecutorClass
from compute_horde.protocol.capacity import MachineSpecs
from compute_horde.protocol.extensions import ProgressMade
from compute_horde.protocol.job import (
    ExecutorReady,
    HordeFailed,
    JobFailed,
    JobFinished,
    Timing,
    VolumesReady,
)
from compute_horde.uploads import FilePut, MultiUpload, ZipPut
from compute_horde.vocabulary import FailureReason, HordeReason, Party, Stage
from compute_horde.volumes import HuggingfaceVolume, InlineVolume, SingleFileVolume
from executor import process
from executor.images import job_image
from executor.process import id_of
from executor.sandbox.container import EngineError
from executor.sandbox.engine import EXECUTOR
from executor.stages.execution_stage import ContainerStage
from tests.executor.conftest import zipped
from tests.peers.executors_miner import JOB, TIMING, TOKEN, Miner, offer, payload, serving

pytestmark = pytest.mark.docker

NO_TIME = dict.fromkeys(Timing.model_fields, 0)


async def test_a_job_that_goes_well_is_told_stage_by_stage(does, busybox, site):
    site.answers["/put"] = lambda request: web.Response(text="kept", headers={"ETag": "e"})
    site.answers["/zip"] = lambda request: web.Response()
    inputs = base64.b64encode(zipped(("in.txt", b"data"))).decode()
    line = "cat /volume/d/in.txt; echo $A >&2; cat /volume/d/in.txt >/output/o; echo x >/a/b/art"
    miner = await does(
        offer(busybox, volume=InlineVolume(contents=inputs, relative_path="d")),
        payload(
            busybox,
            *("sh", "-c", line),
            env={"A": "b c"},
            artifacts_dir="/a/b",
            output_upload=MultiUpload(
                uploads=[FilePut(url=site / "put", relative_path="o")],
                system_output=ZipPut(url=site / "zip"),
            ),
        ),
    )
    assert miner.paths == [f"/v0.1/executor_interface/{TOKEN}"]
    assert miner.facts == ["ExecutorReady", "VolumesReady", "ExecutionDone", "JobFinished"]
    # Between the container's start and its end, one frame for each stream.
    began, ended = (miner.kinds.index(kind) for kind in ("VolumesReady", "ExecutionDone"))
    printed = miner.received[began + 1 : ended]
    assert sorted(one.text for one in printed) == ["b c\n", "data"]
    finished = miner.last
    assert finished.docker_process_stdout == "data"
    assert finished.docker_process_stderr == "b c\n"
    assert finished.artifacts == {"/a/b/art": base64.b64encode(b"x\n").decode()}
    assert set(finished.upload_results) == {"o", "system_output"}
    sent = {path: body for _, path, _, body in site.asked}
    assert sent["/put"] == b"data"
    with zipfile.ZipFile(io.BytesIO(sent["/zip"])) as rest:
        assert {name: rest.read(name) for name in rest.namelist()} == {
            "stdout.txt": b"data",
            "stderr.txt": b"b c\n",
        }


async def test_a_job_may_have_no_artifacts_dir(runs):
    assert await runs("echo hi", artifacts_dir=None) == JobFinished(
        job_uuid=JOB,
        docker_process_stdout="hi\n",
        docker_process_stderr="",
        artifacts={},
        upload_results={},
    )


async def test_an_exit_code_is_the_job_s_fault(runs):
    assert await runs("echo out; echo err >&2; exit 42") == JobFailed(
        job_uuid=JOB,
        message="Job container exited with non-zero exit code: 42",
        reason=FailureReason.NONZERO_RETURN_CODE,
        stage=Stage.EXECUTION,
        docker_process_exit_status=42,
        docker_process_stdout="out\n",
        docker_process_stderr="err\n",
    )


@pytest.mark.parametrize(("command", "status"), [("/no/such", 127), ("/tmp", 126)])
async def test_a_command_that_cannot_run_is_the_job_s_fault(does, busybox, command, status):
    failed = (await does(offer(busybox), payload(busybox, command))).last
    assert (failed.reason, failed.stage) == (FailureReason.NONZERO_RETURN_CODE, Stage.EXECUTION)
    assert failed.docker_process_exit_status == status


async def test_the_execution_limit_kills_the_container(runs, busybox):
    timing = TIMING.model_copy(update={"execution_time_limit": 1})
    failed = await runs("echo begun; sleep 600", offered=offer(busybox, executor_timing=timing))
    assert (failed.reason, failed.stage) == (FailureReason.TIMEOUT, Stage.EXECUTION)
    assert failed.message.startswith("Job container timed out during execution, after ")
    assert failed.docker_process_stdout == "begun\n"


async def never_answer(request):
    await asyncio.sleep(20)


async def test_the_download_limit_is_the_job_s_own(does, busybox, site):
    site.answers["/f"] = never_answer
    failed = (
        await does(
            offer(
                busybox,
                volume=SingleFileVolume(url=site / "f", relative_path="f"),
                executor_timing=Timing(**(NO_TIME | {"download_time_limit": 1})),
            ),
            payload(busybox),
        )
    ).last
    assert (failed.reason, failed.stage) == (FailureReason.TIMEOUT, Stage.VOLUME_DOWNLOAD)
    assert failed.message == (
        "Download time exceeded: volume 1 (single_file) 127.0.0.1: it had not answered in full"
    )


async def test_the_last_problem_before_the_download_limit_is_told(does, busybox, site):
    answers = iter([web.Response(status=503)])

    async def busy_then_silent(request):
        return next(answers, None) or await never_answer(request)

    site.answers["/f"] = busy_then_silent
    volume = SingleFileVolume(url=site / "f", relative_path="f")
    limits = Timing(**(NO_TIME | {"download_time_limit": 3}))
    failed = await does(offer(busybox, executor_timing=limits), payload(busybox, volume=volume))
    assert (failed.last.reason, failed.last.stage) == (FailureReason.TIMEOUT, Stage.VOLUME_DOWNLOAD)
    assert failed.last.message == (
        "Download time exceeded: volume 1 (single_file) 127.0.0.1: the server answered HTTP 503; "
        "another attempt was not through yet"
    )


async def test_the_upload_limit_is_the_job_s_own(runs, busybox, site):
    site.answers["/f"] = never_answer
    timing = Timing(**(NO_TIME | {"allowed_leeway": 4, "execution_time_limit": 2}))
    failed = await runs(
        "echo >/output/f",
        offered=offer(busybox, executor_timing=timing),
        output_upload=FilePut(url=site / "f", relative_path="f"),
    )
    assert (failed.reason, failed.stage) == (FailureReason.TIMEOUT, Stage.RESULT_UPLOAD)
    assert failed.message == "Upload time exceeded: 'f': 127.0.0.1: it had not answered in full"


async def test_a_failed_download_is_the_job_s_fault(does, busybox):
    volume = HuggingfaceVolume(repo_id="org/model", repo_type="nothing")
    failed = (await does(offer(busybox, volume=volume), payload(busybox))).last
    assert (failed.reason, failed.stage) == (
        FailureReason.DOWNLOAD_FAILED,
        Stage.VOLUME_DOWNLOAD,
    )
    assert "repo_type 'nothing' is none of" in failed.message


async def test_the_progress_of_a_download_is_told(does, busybox, site):
    site.answers["/f"] = lambda request: web.Response(body=bytes(1000))
    volume = SingleFileVolume(url=site / "f", relative_path="f")
    miner = await does(offer(busybox, volume=volume), payload(busybox, "true"))
    specs = [one for one in miner.received if isinstance(one, ProgressMade)]
    assert ("volume 1 (single_file) of 1", 1000, 1000) in [
        (one.what, one.done_bytes, one.total_bytes) for one in specs
    ]


async def test_a_failed_upload_is_the_job_s_fault(runs):
    upload = FilePut(url="http://127.0.0.1:1/x", relative_path="missing")
    failed = await runs("true", output_upload=upload)
    assert (failed.reason, failed.stage) == (FailureReason.UPLOAD_FAILED, Stage.RESULT_UPLOAD)


async def test_an_unknown_image_is_the_job_s_fault_before_anything_ran(does):
    miner = await does(offer("executor-tests/no-such:1"), payload("executor-tests/no-such:1"))
    assert miner.kinds == ["JobFailed"]
    assert miner.last.stage is Stage.EXECUTOR_STARTUP
    assert miner.last.reason is FailureReason.DOWNLOAD_FAILED


async def test_an_image_may_be_named_only_with_the_job(does, busybox):
    miner = await does(offer(None), payload(busybox, "echo", "hi"))
    assert miner.last.docker_process_stdout == "hi\n"


@pytest.mark.parametrize("name", ["A\0", "", "=A"])
async def test_a_variable_that_cannot_be_is_the_job_s_fault(runs, name):
    failed = await runs("true", env={name: "a\0b"})
    assert isinstance(failed, JobFailed)
    assert "a name in env" in failed.message


async def test_an_image_that_takes_long_delays_only_its_own_job(does, busybox, monkeypatch):
    """The executor is ready in time; the rest of the image is fetched in the download stage."""
    real = job_image.obtain

    async def slow(*arguments, **named):
        await asyncio.sleep(0.5)
        return await real(*arguments, **named)

    monkeypatch.setattr(job_image, "obtain", slow)
    monkeypatch.setattr("executor.stages.startup_stage.READY_MARGIN_SECONDS", 4 - 0.1)
    miner = await does(offer(busybox), payload(busybox, "echo", "hi"), startup_seconds=1)
    assert miner.last.docker_process_stdout == "hi\n"


async def test_a_job_that_never_comes_is_the_network_s_fault(does, busybox):
    timing = Timing(**(NO_TIME | {"allowed_leeway": 1}))
    miner = await does(offer(busybox, executor_timing=timing))
    assert miner.kinds == ["ExecutorReady", "HordeFailed"]
    assert miner.last.reason is HordeReason.UNHANDLED_TIMEOUT
    assert "did not come in time" in miner.last.message


async def test_volumes_that_came_twice_are_the_network_s_fault(does, busybox):
    volume = InlineVolume(contents=base64.b64encode(zipped(("a", b"a"))).decode())
    miner = await does(offer(busybox, volume=volume), payload(busybox, volume=volume))
    assert miner.last.reason is HordeReason.GENERIC_ERROR


async def test_an_engine_in_trouble_is_the_network_s_fault(runs, monkeypatch):
    async def refuse(self, spec):
        raise EngineError(500, "no room for containers")

    monkeypatch.setattr("executor.sandbox.engine.Engine.create", refuse)
    assert await runs("true") == HordeFailed(
        job_uuid=JOB,
        reported_by=Party.EXECUTOR,
        reason=HordeReason.GENERIC_ERROR,
        message="container engine: no room for containers",
        context={"stage": "execution"},
    )


async def test_a_bug_is_the_network_s_fault_and_keeps_its_details(runs, monkeypatch):
    async def stumble(*arguments):
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(ContainerStage, "run", stumble)
    failed = await runs("true")
    assert (failed.reason, failed.reported_by) == (
        HordeReason.UNHANDLED_EXCEPTION,
        Party.EXECUTOR,
    )
    assert "secret" not in failed.encode()


async def test_a_full_disk_is_the_network_s_fault(full_disk_work, config, busybox, site):
    site.answers["/f"] = lambda request: web.Response(body=bytes(2**20))
    offered = offer(busybox, volume=SingleFileVolume(url=site / "f", relative_path="f"))
    async with serving(Miner(offered, after_ready=payload(busybox))) as miner:
        settings = config.model_copy(
            update={"miner_address": miner.address, "work_dir": full_disk_work.path.parent}
        )
        await process.run_executor(settings, TOKEN, id_of(TOKEN), full_disk_work)
        await asyncio.wait_for(miner.hung_up.wait(), 30)
    assert isinstance(miner.last, HordeFailed)
    assert miner.last.message == "the executor's disk is full"


async def test_a_gpu_class_tells_its_hardware_just_before_the_end(does, busybox):
    changes = {"executor_class": ExecutorClass.always_on__gpu_24gb}
    miner = await does(
        offer(busybox, **changes),
        payload(busybox, "true", **changes),
        nvidia_toolkit_version="1.17.8",
        accepted_advisories=("CVE-2025-31133", "CVE-2025-52565", "CVE-2025-52881"),
    )
    assert miner.kinds[-2:] == ["MachineSpecs", "JobFinished"]
    (message,) = [one for one in miner.received if isinstance(one, MachineSpecs)]
    assert message.specs["specs"]["cpu"]["count"] > 0


async def test_a_lost_miner_ends_the_job(config, work, engine, busybox):
    full = payload(busybox, "sleep", "60")
    async with serving(Miner(offer(busybox), after_ready=full)) as miner:
        settings = config.model_copy(update={"miner_address": miner.address})
        living = asyncio.create_task(process.run_executor(settings, TOKEN, id_of(TOKEN), work))
        await miner.receives(VolumesReady)
        while not await engine.labelled(EXECUTOR, id_of(TOKEN)):
            await asyncio.sleep(0.01)
        miner.socket.transport.abort()
        with pytest.raises(process.ConnectionLostError):
            await asyncio.wait_for(living, 30)
    assert await engine.labelled(EXECUTOR, id_of(TOKEN)) == {}


async def test_a_stopped_executor_says_so_and_leaves_nothing(config, work, engine, busybox):
    full = payload(busybox, "sleep", "60")
    async with serving(Miner(offer(busybox), after_ready=full)) as miner:
        settings = config.model_copy(update={"miner_address": miner.address})
        living = asyncio.create_task(process.run_executor(settings, TOKEN, id_of(TOKEN), work))
        await miner.receives(ExecutorReady)
        await miner.receives(VolumesReady)
        living.cancel()
        with pytest.raises(asyncio.CancelledError):
            await living
        assert isinstance(miner.last, HordeFailed)
        assert miner.last.message == "the executor was told to stop"
    assert await engine.labelled(EXECUTOR, id_of(TOKEN)) == {}
