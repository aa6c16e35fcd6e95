"""The connection to the facilitator."""

import asyncio

import pytest

from compute_horde.django.database import in_database
from compute_horde.protocol.extensions import OutputPrinted, ProgressMade
from compute_horde.protocol.handshake import Heartbeat, Response
from compute_horde.protocol.job import ExecutionDone, JobPayload, VolumesReady
from compute_horde.protocol.message import Message
from compute_horde.protocol.status import StatusReported
from compute_horde.vocabulary import Extension, JobState, Stage, Stream
from tests.eventually import eventually
from tests.peers.facilitator import FacilitatorPeer
from tests.peers.miner import MinerPeer, obliging, result
from tests.peers.user import request
from tests.peers.websocket_server import serving
from tests.validator.conftest import Scene, listening, remember
from tests.validator.rows import ALL_STATES, wait_acknowledged
from validator.facilitator import connection as facilitator_module
from validator.jobs.models import KnownFacilitator


async def test_the_heartbeat_beats(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facilitator_module, "HEARTBEAT_SECONDS", 0.05)
    async with scene() as facilitator:
        assert await facilitator.receives(Heartbeat, 2) == Heartbeat()


async def test_after_a_line_that_lasted_the_next_is_not_long_in_coming(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facilitator_module, "HEARTBEAT_SECONDS", 0.05)
    monkeypatch.setattr(facilitator_module, "FIRST_RETRY_SECONDS", 0.07)
    facilitator = FacilitatorPeer()
    async with serving(facilitator), listening(facilitator) as listener:
        line = listener._facilitator
        for _ in range(10):
            line._backoff.take()
        await eventually(lambda: line._backoff.seconds == 0.07)
        assert not facilitator.all(StatusReported)


async def test_what_the_facilitator_understands_is_known_while_we_are_logged_in(
    scene: Scene,
) -> None:
    facilitator = FacilitatorPeer()
    facilitator.extensions = ("cancel", "telepathy")
    async with serving(facilitator), listening(facilitator) as listener:
        line = listener._facilitator
        await facilitator.until(lambda: facilitator.logins)
        await eventually(lambda: line.extensions == {Extension.CANCEL})
        assert facilitator.announced == "cancel,output,intervals,binding"
        await facilitator.stop()
        await eventually(lambda: not line.extensions)


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
        await eventually(lambda: listener._facilitator.extensions)
        listener._outbox.add_output(piece)
        assert await facilitator.receives(OutputPrinted) == piece
        listener._outbox.add_output(made)
        assert await facilitator.receives(ProgressMade) == made


async def test_statuses_that_were_not_acknowledged_are_sent_again_after_a_reconnect(
    scene: Scene,
) -> None:
    async with scene(MinerPeer()) as facilitator:
        facilitator.answers = False
        job = request()
        await facilitator.send(job)
        await facilitator.receives_end(job.uuid)
        facilitator.answers = True
        await facilitator.connections[0].close()
        await facilitator.until(lambda: facilitator.states(job.uuid) == ALL_STATES * 2)
        await wait_acknowledged(job.uuid)
        assert facilitator.logins == 2


async def test_a_status_the_facilitator_refuses_counts_as_acknowledged(scene: Scene) -> None:
    async with scene(MinerPeer()) as facilitator:
        facilitator.answers = False
        job = request()
        await facilitator.send(job)
        await facilitator.receives_end(job.uuid)
        refusal = Response.refusal("job.integrity_error", "twice")
        await facilitator.send(*[refusal] * len(ALL_STATES))
        await wait_acknowledged(job.uuid)
        assert facilitator.states(job.uuid) == ALL_STATES


async def test_a_refused_login_is_tried_again(scene: Scene) -> None:
    facilitator = FacilitatorPeer()
    facilitator.refusal = Response.refusal("auth.validator_not_found", "who?")
    async with serving(facilitator), listening(facilitator):
        await facilitator.until(lambda: facilitator.logins_received)
        assert not facilitator.logins
        facilitator.refusal = None
        await facilitator.until(lambda: facilitator.logins)


async def test_a_malformed_frame_is_skipped(scene: Scene) -> None:
    async with scene(MinerPeer()) as facilitator:
        for frame in ("{", '{"message_type": "V9"}', '{"message_type": "V2JobRequest"}', "PING"):
            await facilitator.connections[0].send(frame)
        job = request()
        await facilitator.send(job)
        assert (await facilitator.receives_end(job.uuid)).status is JobState.COMPLETED


async def test_a_line_on_which_we_cannot_speak_is_opened_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    compatible, broken = facilitator_module.status_reports.compatible, [1]

    def once_broken(report, understood):
        if broken:
            broken.pop()
            raise RuntimeError("no words for it")
        return compatible(report, understood)

    async with scene(MinerPeer()) as facilitator:
        monkeypatch.setattr(facilitator_module.status_reports, "compatible", once_broken)
        job = request()
        await facilitator.send(job)
        assert (await facilitator.receives_end(job.uuid)).status is JobState.COMPLETED
        assert facilitator.states(job.uuid) == ALL_STATES
        assert facilitator.logins == 2


async def test_a_facilitator_that_offers_a_challenge_is_answered_and_hears_nothing_to_replay(
    scene: Scene,
) -> None:
    facilitator = FacilitatorPeer()
    facilitator.challenge = "ab" * 32
    async with serving(facilitator), listening(facilitator):
        await facilitator.until(lambda: facilitator.logins)
        login = facilitator.logins_received[0]
        assert login.challenge
        assert (login.challenge.nonce, login.challenge.audience) == ("ab" * 32, "127.0.0.1")


async def test_a_facilitator_that_stops_offering_challenges_is_told_no_login(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    facilitator = FacilitatorPeer()
    facilitator.challenge = "ab" * 32
    async with serving(facilitator):
        async with listening(facilitator), asyncio.timeout(10):
            while not await in_database(KnownFacilitator.objects.exists):
                await asyncio.sleep(0.01)
        # Also not after a restart of the validator.
        facilitator.challenge = None
        async with listening(facilitator), asyncio.timeout(10):
            while not any("offers no login challenge" in one for one in logged_problems(caplog)):
                await asyncio.sleep(0.01)
        assert len(facilitator.logins_received) == 1
        # An operator may allow it.
        await in_database(KnownFacilitator.objects.all().delete)
        async with listening(facilitator):
            await facilitator.until(lambda: facilitator.logins == 2)
        assert facilitator.logins_received[1].challenge is None


def logged_problems(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [str(getattr(record, "problem", "")) for record in caplog.records]


async def test_results_for_an_absent_facilitator_take_no_more_memory_than_their_budget(
    scene: Scene,
) -> None:
    """What is dropped from memory is read from the database when the facilitator is back."""
    miner = MinerPeer(printing("x" * 2**19), {"always_on.test": 8})
    facilitator = FacilitatorPeer()
    facilitator.answers = False
    async with serving(facilitator, miner):
        await in_database(remember, miner)
        async with listening(facilitator) as listener:
            listener._outbox._statuses.budget.limit = 2**20
            await facilitator.until(lambda: facilitator.logins)
            jobs = [request() for _ in range(6)]
            await facilitator.send(*jobs)
            ends = [await facilitator.receives_end(job.uuid) for job in jobs]
            assert listener._outbox._statuses.budget.held <= 2**20
            await facilitator.stop()
            facilitator.received.clear()
            facilitator.answers = True
            await facilitator.start()
            for job, end in zip(jobs, ends, strict=True):
                assert await facilitator.receives_end(job.uuid) == end
                assert facilitator.states(job.uuid) == ALL_STATES
                await wait_acknowledged(job.uuid)
            assert listener._outbox._statuses.budget.held == 0


def printing(text: str):
    """A miner whose jobs all print this."""

    def script(miner: MinerPeer, message: Message) -> list[Message]:
        if isinstance(message, JobPayload):
            uuid = message.job_uuid
            return [VolumesReady(job_uuid=uuid), ExecutionDone(job_uuid=uuid), result(uuid, text)]
        return obliging(miner, message)

    return script
