"""The line to the facilitator."""

import asyncio

import pytest

from compute_horde.protocol.extensions import OutputPrinted, ProgressMade
from compute_horde.protocol.handshake import Heartbeat, Response
from compute_horde.protocol.status import StatusReported
from compute_horde.vocabulary import Extension, JobState, Stage, Stream
from tests.validator.conftest import Scene, listening
from tests.validator.peers import (
    FacilitatorPeer,
    MinerPeer,
    request,
    serving,
)
from tests.validator.scripts import (
    ALL_STATES,
    all_told,
)
from validator.jobs import facilitator as facilitator_module


async def test_the_heartbeat_beats(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facilitator_module, "HEARTBEAT_SECONDS", 0.05)
    async with scene() as facilitator:
        await facilitator.hears(Heartbeat, 2)


async def test_after_a_line_that_lasted_the_next_is_not_long_in_coming(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facilitator_module, "HEARTBEAT_SECONDS", 0.05)
    monkeypatch.setattr(facilitator_module, "FIRST_WAIT_SECONDS", 0.07)
    facilitator = FacilitatorPeer()
    async with serving(facilitator), listening(facilitator) as listener:
        line = listener._facilitator
        line._wait = 5.0
        async with asyncio.timeout(5):
            while line._wait != 0.07:
                await asyncio.sleep(0.01)
        assert not facilitator.all(StatusReported)


async def test_what_the_facilitator_understands_is_known_while_we_are_logged_in(
    scene: Scene,
) -> None:
    facilitator = FacilitatorPeer()
    facilitator.extensions = ("cancel", "telepathy")
    async with serving(facilitator), listening(facilitator) as listener:
        line = listener._facilitator
        await facilitator.until(lambda: facilitator.logins)
        async with asyncio.timeout(5):
            while line.extensions != {Extension.CANCEL}:
                await asyncio.sleep(0.01)
        assert facilitator.announced == "cancel,output,intervals"
        await facilitator.stop()
        async with asyncio.timeout(5):
            while line.extensions:
                await asyncio.sleep(0.01)


async def test_output_and_progress_go_to_a_facilitator_that_understands_them(
    scene: Scene,
) -> None:
    uuid = request().uuid
    piece = OutputPrinted(job_uuid=uuid, offset=0, stream=Stream.STDOUT, text="x")
    made = ProgressMade(job_uuid=uuid, stage=Stage.EXECUTION, what="w", done_bytes=1)
    facilitator = FacilitatorPeer()
    facilitator.extensions = ("output",)
    async with serving(facilitator), listening(facilitator) as listener:
        await facilitator.until(lambda: facilitator.logins)
        async with asyncio.timeout(5):
            while not listener._facilitator.extensions:
                await asyncio.sleep(0.01)
        listener._outbox.pass_on(piece)
        await facilitator.hears(OutputPrinted, 1)
        listener._outbox.pass_on(made)
        await facilitator.hears(ProgressMade, 1)


async def test_statuses_that_were_not_acknowledged_are_sent_again_after_a_reconnect(
    scene: Scene,
) -> None:
    async with scene(MinerPeer()) as facilitator:
        facilitator.answers = False
        job = request()
        await facilitator.say(job)
        await facilitator.hears_end(job.uuid)
        facilitator.answers = True
        await facilitator.connections[0].close()
        await facilitator.until(lambda: facilitator.states(job.uuid) == ALL_STATES * 2)
        await all_told(job.uuid)


async def test_a_status_the_facilitator_refuses_counts_as_acknowledged(scene: Scene) -> None:
    async with scene(MinerPeer()) as facilitator:
        facilitator.answers = False
        job = request()
        await facilitator.say(job)
        await facilitator.hears_end(job.uuid)
        refusal = Response.refusal("job.integrity_error", "twice")
        await facilitator.say(*[refusal] * len(ALL_STATES))
        await all_told(job.uuid)


async def test_a_refused_login_is_tried_again(scene: Scene) -> None:
    facilitator = FacilitatorPeer()
    facilitator.refusal = Response.refusal("auth.validator_not_found", "who?")
    async with serving(facilitator), listening(facilitator):
        await facilitator.until(lambda: True)
        await asyncio.sleep(0.1)
        facilitator.refusal = None
        await facilitator.until(lambda: facilitator.logins)


async def test_a_malformed_frame_is_skipped(scene: Scene) -> None:
    async with scene(MinerPeer()) as facilitator:
        for frame in ("{", '{"message_type": "V9"}', '{"message_type": "V2JobRequest"}', "PING"):
            await facilitator.connections[0].send(frame)
        job = request()
        await facilitator.say(job)
        assert (await facilitator.hears_end(job.uuid)).status is JobState.COMPLETED


async def test_a_line_on_which_we_cannot_speak_is_opened_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    understandable, broken = facilitator_module.reports.understandable, [1]

    def once_broken(report, understood):
        if broken:
            broken.pop()
            raise RuntimeError("no words for it")
        return understandable(report, understood)

    async with scene(MinerPeer()) as facilitator:
        monkeypatch.setattr(facilitator_module.reports, "understandable", once_broken)
        job = request()
        await facilitator.say(job)
        assert (await facilitator.hears_end(job.uuid)).status is JobState.COMPLETED
        assert facilitator.states(job.uuid) == ALL_STATES
        assert facilitator.logins == 2
