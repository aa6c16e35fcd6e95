"""The list runs its stages in order, and stops and cleans up in reverse order."""

import asyncio

import pytest

from compute_horde.errors import Cancelled, HordeError, JobError
from compute_horde.protocol.job import ExecutorReady, VolumesReady
from compute_horde.vocabulary import FailureReason, HordeReason, Stage
from executor.job_context import JobContext
from executor.session import job_stages
from executor.stages.stage_list import StageList
from tests.executor.scripted_stages import RecordingSocket, ScriptedStage
from tests.peers.executors_miner import JOB

READY, LOADED = ExecutorReady(job_uuid=JOB), VolumesReady(job_uuid=JOB)


@pytest.fixture
def calls():
    return []


@pytest.fixture
def context(calls, config):
    made = JobContext("executor", None, None, config)
    made.send = RecordingSocket(calls).send
    return made


async def test_the_stages_run_in_order_and_each_message_precedes_the_next_stage(context, calls):
    stages = StageList(
        [
            ScriptedStage(calls, "a", message=READY),
            ScriptedStage(calls, "b"),
            ScriptedStage(calls, "c", message=LOADED),
        ]
    )
    await stages.run(context)
    assert calls == ["run a", "send ExecutorReady", "run b", "run c", "send VolumesReady"]


async def test_every_stage_may_begin_before_the_first_one_runs(context, calls):
    stages = StageList([ScriptedStage(calls, one) for one in "ab"])
    stages.prestart(context)
    await stages.run(context)
    assert calls == ["prestart a", "prestart b", "run a", "run b"]


async def test_the_present_stage_gives_the_name(context, calls):
    seen = []

    class Looking(ScriptedStage):
        async def run(self, context):
            seen.append(stages.current_name)

    names = [Stage.EXECUTOR_STARTUP, Stage.VOLUME_DOWNLOAD, Stage.RESULT_UPLOAD]
    stages = StageList([Looking(calls, "x", name=one) for one in names])
    assert stages.current_name is Stage.EXECUTOR_STARTUP
    await stages.run(context)
    assert seen == names
    assert stages.current_name is Stage.RESULT_UPLOAD


async def test_after_a_failure_no_stage_runs_and_all_clean_up_in_reverse_order(context, calls):
    error = JobError(FailureReason.UNKNOWN, "broken")
    stages = StageList(
        [
            ScriptedStage(calls, "a"),
            ScriptedStage(calls, "b", name=Stage.VOLUME_DOWNLOAD, raises=error),
            ScriptedStage(calls, "c"),
        ]
    )
    with pytest.raises(JobError, match="broken"):
        await stages.run(context)
    assert stages.current_name is Stage.VOLUME_DOWNLOAD
    stages.clean_up()
    assert calls == ["run a", "run b", "clean up c", "clean up b", "clean up a"]


async def test_a_cancelled_list_stops_and_cleans_up_in_reverse_order(context, calls):
    hanging = ScriptedStage(calls, "b", hangs=True)
    stages = StageList([ScriptedStage(calls, "a"), hanging])
    running = asyncio.create_task(stages.run(context))
    await hanging.reached.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await stages.stop(Cancelled())
    stages.clean_up()
    assert calls == ["run a", "run b", "stop b", "stop a", "clean up b", "clean up a"]


async def test_a_stage_that_is_stopped_may_add_the_job_s_output(calls):
    class WithOutput(ScriptedStage):
        async def stop(self, error):
            return Cancelled(stdout="out", stderr="err")

    stages = StageList([ScriptedStage(calls, "a"), WithOutput(calls, "b")])
    error = await stages.stop(Cancelled())
    assert (error.stdout, error.stderr) == ("out", "err")


async def test_one_stage_that_cannot_clean_up_does_not_keep_the_others_from_it(calls):
    class Broken(ScriptedStage):
        def clean_up(self):
            raise OSError("still there")

    stages = StageList([ScriptedStage(calls, "a"), Broken(calls, "b"), ScriptedStage(calls, "c")])
    with pytest.raises(OSError, match="still there"):
        stages.clean_up()
    assert calls == ["clean up c", "clean up a"]


class Late(ScriptedStage):
    """A stage that exceeds its deadline."""

    def deadline(self, context):
        return asyncio.timeout(0)


async def test_a_deadline_ends_only_its_own_stage(context, calls):
    stages = StageList([ScriptedStage(calls, "a"), Late(calls, "b", hangs=True)])
    with pytest.raises(TimeoutError):
        await stages.run(context)
    assert calls == ["run a", "run b"]


async def test_a_stage_may_say_whose_fault_it_is_to_be_late(context, calls):
    class Excused(Late):
        def timeout_error(self):
            return HordeError(HordeReason.EXECUTION_TIMED_OUT, "the engine was slow")

    with pytest.raises(HordeError, match="the engine was slow"):
        await StageList([Excused(calls, "a", hangs=True)]).run(context)


async def test_the_message_is_not_sent_within_the_deadline(context, calls):
    class Punctual(ScriptedStage):
        def deadline(self, context):
            return asyncio.timeout(0.05)

    async def send(message):
        await asyncio.sleep(0.1)
        calls.append("send")

    context.send = send
    await StageList([Punctual(calls, "a", message=READY)]).run(context)
    assert calls == ["run a", "send"]


def test_a_job_goes_through_these_stages_each_with_objects_of_its_own():
    first, second = job_stages(), job_stages()
    assert [(type(one).__name__, one.name) for one in first] == [
        ("StartupStage", Stage.EXECUTOR_STARTUP),
        ("DownloadStage", Stage.VOLUME_DOWNLOAD),
        ("ContainerStage", Stage.EXECUTION),
        ("ExecutionStage", Stage.EXECUTION),
        ("UploadStage", Stage.RESULT_UPLOAD),
        ("ResultStage", Stage.RESULT_UPLOAD),
    ]
    assert not set(map(id, first)) & set(map(id, second))


def test_what_no_stage_has_made_cannot_be_read(context):
    with pytest.raises(AttributeError, match="payload"):
        context.payload  # noqa: B018
