"""Faults on the validator's side in turn: innocent miners lose nothing, a guilty one is found."""

from datetime import timedelta
from decimal import Decimal

import pytest
from bittensor_core import Keypair

from compute_horde.django.database import in_database
from compute_horde.faults import Culprit
from compute_horde.protocol.job import JobAccepted, JobFailed, JobOffered, JobPayload
from compute_horde.protocol.message import Message
from compute_horde.steady_clock import steady_now
from compute_horde.vocabulary import FailureReason, Stage
from compute_horde.volumes import SingleFileVolume
from tests.peers.keys import VALIDATOR
from tests.peers.miner import MinerPeer, obliging, solving
from tests.peers.websocket_server import serving
from tests.validator.scores.cycles import CYCLE, NETUID, seen
from tests.validator.scores.cycles import batch as batch_of_state
from tests.validator.synthetic.control.servers import ProbedServer, probed
from tests.validator.synthetic.making import TEST, attempt
from tests.validator.synthetic.test_actions import configuration, declare
from tests.validator.synthetic.test_batch_run import batch
from validator.scores.actions import ensure_scored
from validator.scores.models import Score
from validator.scoring.parameters import DEFAULTS, FormulaName
from validator.synthetic import actions
from validator.synthetic.attempts import Attempt
from validator.synthetic.control import excusing, targets, watch
from validator.synthetic.control.excusing import ReachedMiner
from validator.synthetic.control.faults import FaultKind, Target, TargetRecord
from validator.synthetic.control.probes import Probe, reaches
from validator.synthetic.control.watch import ControlWatch
from validator.synthetic.models import Batch, BatchFault
from validator.synthetic.outcomes import Outcome

DAVE, CAROL, EVE = (Keypair.create_from_uri(f"//{name}") for name in ("Dave", "Carol", "Eve"))


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "ROUND_SECONDS", 0.05)
    monkeypatch.setattr(watch, "RETRY_SECONDS", 0.01)
    # The machine that runs the tests may be overloaded indeed.
    monkeypatch.setattr(watch, "load_problem", lambda *_: "")


def reached(*miners: MinerPeer) -> dict[str, ReachedMiner]:
    now = steady_now()
    return {
        one.hotkey: ReachedMiner(one.hotkey, f"10.0.{number}.1", f"owner {number}", now)
        for number, one in enumerate(miners)
    }


async def tried(
    probes: list[Probe],
    attempts: list[Attempt],
    *peers: MinerPeer,
    known: dict[Target, TargetRecord] | None = None,
    miners: dict[str, ReachedMiner] | None = None,
) -> list[FaultKind]:
    """Run the attempts under a watch, and excuse what it finds; the kinds of faults."""
    owners = miners or reached(*peers)
    async with batch(*peers) as run:
        async with ControlWatch(probes, known or {}, run.loop_delay) as watched:
            await run.run_all(attempts)
            await watched.finish()
        silent = excusing.reached(attempts, owners, watched.began, watched.began)
        faults = watched.faults(silent)
        excusing.excuse(attempts, faults, owners, watched.began)
    return [fault.kind for fault in faults]


def judged(one: Attempt) -> tuple[Outcome, int, str, Culprit]:
    return one.outcome, one.points, one.control_fault, one.blamed


def failed(uuid: str, reason: FailureReason, stage: Stage) -> JobFailed:
    return JobFailed(job_uuid=uuid, reason=reason, stage=stage, message="no")


async def test_a_registry_that_fails_costs_nobody_anything() -> None:
    registry = ProbedServer()

    def cold(miner: MinerPeer, message: Message) -> list[Message]:
        if not isinstance(message, JobOffered):
            return []
        registry.fail()
        problem = failed(message.job_uuid, FailureReason.DOWNLOAD_FAILED, Stage.EXECUTOR_STARTUP)
        return [JobAccepted(job_uuid=message.job_uuid), problem]

    def broken(miner: MinerPeer, message: Message) -> list[Message]:
        if not isinstance(message, JobPayload):
            return obliging(miner, message)
        return [failed(message.job_uuid, FailureReason.NONZERO_RETURN_CODE, Stage.EXECUTION)]

    innocent, warm = MinerPeer(cold, keypair=DAVE), MinerPeer(solving, keypair=CAROL)
    guilty, wrong = MinerPeer(broken, keypair=EVE), MinerPeer(obliging)
    async with probed(registry):
        made = [attempt(one.hotkey) for one in (innocent, warm, guilty, wrong)]
        for one in made:
            object.__setattr__(one.prepared, "image", f"{registry.address}/hash:v1")
        probes = targets.of_jobs(one.prepared for one in made)
        kinds = await tried(probes, made, innocent, warm, guilty, wrong)
    assert kinds == [FaultKind.REGISTRY]
    assert [judged(one) for one in made] == [
        (Outcome.JOB_FAILED, 1, "registry", Culprit.NOBODY),
        (Outcome.CORRECT, 1, "", Culprit.NOBODY),
        (Outcome.JOB_FAILED, 0, "", Culprit.MINER),
        (Outcome.WRONG_ANSWER, 0, "", Culprit.MINER),
    ]
    assert made[0].reason.startswith("the registry of the image failed (127.0.0.1:")


async def test_storage_that_fails_costs_nobody_anything() -> None:
    bucket = ProbedServer(206)

    def fetching(miner: MinerPeer, message: Message) -> list[Message]:
        if not isinstance(message, JobPayload):
            return obliging(miner, message)
        bucket.fail()
        return [failed(message.job_uuid, FailureReason.DOWNLOAD_FAILED, Stage.VOLUME_DOWNLOAD)]

    innocent, wrong = MinerPeer(fetching, keypair=DAVE), MinerPeer(obliging, keypair=EVE)
    liar = MinerPeer(fetching, keypair=CAROL)
    async with probed(bucket):
        volume = SingleFileVolume(url=f"http://{bucket.address}/input?key=1", relative_path="x")
        made = [attempt(one.hotkey, volume=volume) for one in (innocent, wrong)]
        made.append(attempt(liar.hotkey))
        probes = targets.of_jobs(one.prepared for one in made if one.prepared.volume)
        probes = [probe for probe in probes if probe.target.kind is FaultKind.BUCKET]
        kinds = await tried(probes, made, innocent, wrong, liar)
    assert kinds == [FaultKind.BUCKET]
    assert [judged(one)[1:3] for one in made] == [(1, "bucket"), (0, ""), (0, "")]
    assert made[1].blamed is Culprit.MINER
    assert "GET /input?key=1" in bucket.requests[0]


async def test_an_address_that_could_not_be_read_from_the_chain_costs_nobody_anything() -> None:
    node = ProbedServer()
    moved, stayed = MinerPeer(keypair=DAVE), MinerPeer(keypair=EVE)
    moved.port = stayed.port = 1
    good = MinerPeer(solving)
    now = steady_now()
    owners = {
        one.hotkey: ReachedMiner(one.hotkey, "10.0.0.1", "", now - timedelta(minutes=ago))
        for one, ago in ((moved, 20), (stayed, 5), (good, 5))
    }
    async with probed(node):
        target = Target(FaultKind.CHAIN, node.address, is_outside=False)
        probe = Probe(target, reaches("127.0.0.1", node.port))
        node.fail()
        began = now - timedelta(minutes=10)
        known = {target: TargetRecord(began, (began, "refused"), began)}
        made = [attempt(one.hotkey) for one in (moved, stayed, good)]
        kinds = await tried([probe], made, moved, stayed, good, known=known, miners=owners)
    assert kinds == [FaultKind.CHAIN]
    assert [judged(one)[1:] for one in made] == [
        (1, "chain", Culprit.NOBODY),
        (0, "", Culprit.MINER),
        (1, "", Culprit.NOBODY),
    ]


async def test_an_uplink_that_fails_costs_nobody_anything() -> None:
    outside = [ProbedServer(), ProbedServer()]

    def cut_off(miner: MinerPeer, message: Message) -> list[Message]:
        for one in outside:
            one.fail()
        return []

    silent, wrong = MinerPeer(cut_off, keypair=DAVE), MinerPeer(obliging, keypair=EVE)
    good = MinerPeer(solving)
    async with probed(*outside):
        probes = [
            Probe(Target(None, one.address), reaches("127.0.0.1", one.port)) for one in outside
        ]
        made = [attempt(one.hotkey) for one in (silent, wrong, good)]
        kinds = await tried(probes, made, silent, wrong, good)
    assert kinds == [FaultKind.UPLINK]
    assert [judged(one) for one in made] == [
        (Outcome.NOT_ACCEPTED, 1, "uplink", Culprit.NOBODY),
        (Outcome.WRONG_ANSWER, 0, "", Culprit.MINER),
        (Outcome.CORRECT, 1, "", Culprit.NOBODY),
    ]


async def test_miners_that_fall_silent_together_excuse_nobody_while_the_uplink_works() -> None:
    outside = [ProbedServer(), ProbedServer()]
    colluding = [
        MinerPeer(lambda *_: [], keypair=Keypair.create_from_uri(f"//{number}"))
        for number in range(9)
    ]
    good = MinerPeer(solving)
    async with probed(*outside):
        probes = [
            Probe(Target(None, one.address), reaches("127.0.0.1", one.port)) for one in outside
        ]
        made = [attempt(one.hotkey) for one in (*colluding, good)]
        assert await tried(probes, made, *colluding, good) == []
    assert {judged(one)[1:] for one in made[:-1]} == {(0, "", Culprit.MINER)}


@pytest.mark.django_db(transaction=True)
async def test_a_batch_in_which_the_registry_fails_costs_the_innocent_no_part_of_their_weight() -> (
    None
):
    """The cold miner gets what the warm one gets, and the explanation of its score says why."""
    registry = ProbedServer()

    def cold(miner: MinerPeer, message: Message) -> list[Message]:
        if not isinstance(message, JobOffered):
            return []
        registry.fail()
        problem = failed(message.job_uuid, FailureReason.DOWNLOAD_FAILED, Stage.EXECUTOR_STARTUP)
        return [JobAccepted(job_uuid=message.job_uuid), problem]

    innocent, warm = MinerPeer(cold, keypair=DAVE), MinerPeer(solving, keypair=CAROL)
    guilty = MinerPeer(obliging, keypair=EVE)
    async with probed(registry), serving(innocent, warm, guilty):
        config = configuration(
            chain_url="ws://127.0.0.1:1",
            facilitator_url="ws://127.0.0.1:1/ws",
            hash_image=f"{registry.address}/hash:v1",
        )
        await in_database(declare, innocent, warm, guilty)
        held = await in_database(batch_of_state, Batch.State.RUNNING)
        await in_database(actions.run_batch, held, config)
    scored = await in_database(scores)
    assert {who: u16 for who, (u16, _) in scored.items()} == {
        innocent.hotkey: 65535,
        warm.hotkey: 65535,
        guilty.hotkey: 0,
    }
    assert "excused: the registry of the image failed" in scored[innocent.hotkey][1]
    assert "synthetic jobs answered wrongly" in scored[guilty.hotkey][1]
    fault = await in_database(BatchFault.objects.get)
    assert (fault.kind, fault.target) == ("registry", registry.address)


def scores() -> dict[str, tuple[int, str]]:
    """The weight and the explanation of each miner, for the batch that ran now."""
    seen(CYCLE.start, CYCLE.stop)
    parameters = DEFAULTS[FormulaName.JOBS]
    weights = {TEST: Decimal(1)}
    ensure_scored(
        CYCLE, NETUID, parameters.model_copy(update={"class_weights": weights}), VALIDATOR
    )
    return {one.hotkey: (one.u16, one.document) for one in Score.objects.all()}
