"""What a session makes of the end of one of its stages, without an engine."""

import asyncio
import logging

import pytest

from compute_horde.errors import JobError
from compute_horde.protocol.extensions import JobCancelled
from compute_horde.protocol.job import HordeFailed, JobFailed, JobFinished
from compute_horde.vocabulary import FailureReason, HordeReason, Stage
from executor.inbox import MinerInbox
from executor.job_context import JobContext
from executor.session import Session
from tests.executor.scripted_stages import RecordingSocket, ScriptedStage
from tests.peers.executors_miner import JOB, offer


@pytest.fixture
def calls():
    return []


@pytest.fixture
def line(calls):
    return RecordingSocket(calls)


@pytest.fixture
def session(line, config):
    """Makes a session of these stages whose job is offered already."""

    def make(*stages):
        inbox = MinerInbox(line)
        inbox.offered.set_result(offer(None))
        made = Session(line, inbox, JobContext("executor", None, None, config), stages)
        return made, inbox

    return make


async def test_the_result_of_the_last_stage_is_the_answer(session, line, calls):
    result = JobFinished(job_uuid=JOB, docker_process_stdout="", docker_process_stderr="")

    class Last(ScriptedStage):
        async def run(self, context):
            context.finished = result

    made, _ = session(ScriptedStage(calls, "a"), Last(calls, "b"))
    await made.run()
    assert line.sent == [result]
    assert calls[-3:] == ["send JobFinished", "clean up b", "clean up a"]


@pytest.mark.parametrize("name", [Stage.EXECUTOR_STARTUP, Stage.VOLUME_DOWNLOAD, Stage.EXECUTION])
async def test_a_stage_s_error_names_the_stage(session, line, calls, caplog, name):
    caplog.set_level(logging.INFO)
    error = JobError(FailureReason.UNKNOWN, "broken")
    made, _ = session(
        ScriptedStage(calls, "a", name=Stage.UNKNOWN),
        ScriptedStage(calls, "b", name=name, raises=error),
        ScriptedStage(calls, "c", name=Stage.RESULT_UPLOAD),
    )
    await made.run()
    assert line.sent == [
        JobFailed(job_uuid=JOB, message="broken", reason=FailureReason.UNKNOWN, stage=name)
    ]
    (failed,) = [one for one in caplog.records if one.message == "job failed"]
    assert failed.stage == str(name)
    assert calls == [
        *("prestart a", "prestart b", "prestart c", "run a", "run b"),
        *("send JobFailed", "clean up c", "clean up b", "clean up a"),
    ]


async def test_an_error_with_output_before_there_is_a_container_is_reported_as_it_is(
    session, line, calls
):
    error = JobError(FailureReason.UNKNOWN, "no proof", stdout="out", stderr="err")
    made, _ = session(ScriptedStage(calls, "a", raises=error))
    await made.run()
    (failed,) = line.sent
    assert (failed.docker_process_stdout, failed.docker_process_stderr) == ("out", "err")


async def test_a_cancelled_job_is_stopped_answered_and_cleaned_up_in_reverse_order(
    session, line, calls
):
    hanging = ScriptedStage(calls, "b", hangs=True, name=Stage.VOLUME_DOWNLOAD)
    made, inbox = session(ScriptedStage(calls, "a"), hanging)
    running = asyncio.create_task(made.run())
    await hanging.reached.wait()
    inbox.cancelled.set()
    await running
    (answer,) = line.sent
    assert isinstance(answer, JobCancelled)
    assert answer.stage is Stage.VOLUME_DOWNLOAD
    assert calls[4:] == ["stop b", "stop a", "send JobCancelled", "clean up b", "clean up a"]


async def test_a_stopped_executor_sends_so_and_cleans_up_in_reverse_order(session, line, calls):
    hanging = ScriptedStage(calls, "b", hangs=True)
    made, _ = session(ScriptedStage(calls, "a"), hanging)
    running = asyncio.create_task(made.run())
    await hanging.reached.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    (answer,) = line.sent
    assert isinstance(answer, HordeFailed)
    assert answer.reason is HordeReason.GENERIC_ERROR
    assert answer.context == {"stage": "execution"}
    assert calls[4:] == ["send HordeFailed", "clean up b", "clean up a"]


async def test_background_tasks_end_before_their_stages_clean_up(session, calls):
    class Busy(ScriptedStage):
        def prestart(self, context):
            context.start(self._work())

        async def _work(self):
            try:
                await asyncio.sleep(60)
            finally:
                calls.append("background ended")

    error = JobError(FailureReason.UNKNOWN, "broken")
    made, _ = session(Busy(calls, "a"), ScriptedStage(calls, "b", raises=error))
    # The background task begins before the job fails.
    await asyncio.sleep(0)
    await made.run()
    assert calls[-3:] == ["background ended", "clean up b", "clean up a"]
