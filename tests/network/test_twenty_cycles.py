"""Twenty cycles of two validators and six miners: who works is paid, to the last unit."""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from bittensor_core import Keypair

from compute_horde.cycles import Cycle, peak_cycle
from localnet.process_table import NETUID
from tests.network import fast_network
from tests.network.fast_network import (
    PUBLISH,
    TEMPO,
    FastNetwork,
    FastValidator,
    clean_env,
    printed,
)
from tests.network.misbehaving import (
    CPU,
    Accomplice,
    BoastfulMiner,
    ForgingMiner,
    RefusingMiner,
    ScriptedMiner,
    SlowMiner,
)
from tests.peers.websocket_server import serving

CYCLES = 20
# The second peak cycle, of two, is this one: only then is the size of a miner compared.
BEFORE_FIRST_PEAK = 2
SMALL, LARGE = 2, 3
REFUSED = "synthetic jobs refused without a valid excuse"
LATE = "synthetic jobs answered too late"
DANCED = "dancing bonus: the size changed between peaks"


@dataclass
class Miners:
    """The scripted miners by what they do."""

    slow: SlowMiner
    boastful: BoastfulMiner
    refusing: RefusingMiner
    forging: ForgingMiner
    dancing: ScriptedMiner

    def all(self) -> list[ScriptedMiner]:
        return [self.slow, self.boastful, self.refusing, self.forging, self.dancing]


@dataclass
class Seen:
    """The weights on the chain by validator and the cycle that they pay."""

    weights: dict[tuple[str, int], dict[int, int]] = field(default_factory=dict)

    async def note(self, network: FastNetwork, paid: Cycle) -> None:
        for validator in network.validators:
            found = await network.weights(validator)
            self.weights[validator.hotkey, paid.start] = found


@pytest.fixture(scope="module")
def fast(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastNetwork]:
    with fast_network.running(tmp_path_factory.mktemp("cycles")) as network:
        yield network


@pytest.fixture(scope="module")
def miners(fast: FastNetwork) -> Miners:
    """Five scripted miners, registered; the sixth is a real one."""
    sybil = key("Sybil")
    fast.register(sybil)
    second = fast.validators[1].hotkey
    accomplices = [Accomplice(key("Forger"), second), Accomplice(sybil, sybil.ss58_address)]
    made = Miners(
        slow=SlowMiner(key("Slow"), 1, CPU),
        boastful=BoastfulMiner(key("Boaster"), 3),
        refusing=RefusingMiner(key("Refuser"), 2),
        forging=ForgingMiner(key("Forger"), 2, accomplices),
        dancing=ScriptedMiner(key("Dancer"), SMALL),
    )
    for peer in made.all():
        peer.port = fast.home.port(peer.hotkey)
        fast.register(peer.keypair, peer.port)
    return made


@pytest.fixture(autouse=True)
async def serving_miners(fast: FastNetwork, miners: Miners) -> AsyncIterator[None]:
    async with serving(*miners.all()):
        await fast.meet(miners=6)
        yield


@pytest.fixture
async def worked(fast: FastNetwork, serving_miners: None) -> None:
    """There is a cycle of work before the next one."""
    if not fast.validators[0].rows("SELECT 1 FROM synthetic_batch WHERE state = 'done'"):
        await fast.pass_cycle(fast.next_cycle())


def key(name: str) -> Keypair:
    return Keypair.create_from_uri(f"//{name}")


# Longer than others: on a machine with other work, each of 21 cycles may take ten seconds.
@pytest.mark.timeout(900)
async def test_every_cycle_pays_what_the_formulas_say(
    fast: FastNetwork, miners: Miners, tmp_path: Path
) -> None:
    cycles = fast_network.cycles_with_peak(
        fast.admin.head(), before=BEFORE_FIRST_PEAK, count=CYCLES + 1
    )
    fast.advance_to(cycles[0].start - 1)
    seen = Seen()
    for number, cycle in enumerate(cycles):
        await fast.pass_cycle(cycle)
        if number:
            await seen.note(fast, cycles[number - 1])
        if cycle == peak_of(cycle):
            miners.dancing.executors = SMALL + LARGE - miners.dancing.executors

    for validator in fast.validators:
        assert await recomputed(validator, tmp_path / validator.hotkey) == {
            cycle: weights
            for (who, cycle), weights in seen.weights.items()
            if who == validator.hotkey
        }
        check_reasons(validator, fast.miner.hotkey, miners, cycles[:-1])
    await check_commands(fast.validators[0], miners, cycles[0], tmp_path)


def peak_of(cycle: Cycle) -> Cycle:
    return peak_cycle(cycle.start, netuid=NETUID, tempo=TEMPO)


async def recomputed(validator: FastValidator, folder: Path) -> dict[int, dict[int, int]]:
    """The weights by cycle and uid, from exported facts alone, in a process without settings.

    Without cycles in which nobody earned anything, whose weights are not set.
    """
    folder.mkdir()
    await printed(validator.env, "-c", EXPORT, str(folder))
    found = json.loads(await printed(clean_env(), "-c", REPLAY, str(folder)))
    weights = {
        int(cycle): {one["uid"]: one["u16"] for one in miners if one["u16"]}
        for cycle, miners in found.items()
    }
    return {cycle: row for cycle, row in weights.items() if row}


# What `python -m validator export` and `replay` do, for all cycles at once.
EXPORT = """
import os, pathlib, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "validator.settings_headless"
import django
django.setup()
from validator.scores.actions import exported
from validator.scores.models import ScoredCycle
for cycle in ScoredCycle.objects.all():
    (pathlib.Path(sys.argv[1]) / str(cycle.cycle_start)).write_text(exported(cycle))
"""
REPLAY = """
import json, pathlib, sys
from validator.scores.recording import replay
found = {}
for path in pathlib.Path(sys.argv[1]).iterdir():
    scores, is_same = replay(path.read_bytes())
    assert is_same, path
    found[path.name] = scores.as_json()["miners"]
print(json.dumps(found))
"""


def check_reasons(
    validator: FastValidator, honest: str, miners: Miners, cycles: list[Cycle]
) -> None:
    """Each loss has its reason in the explanation of each cycle, and the dancer has its bonus."""
    query = (
        "SELECT cycle_start, hotkey, document FROM scores_score s "
        "JOIN scores_scoredcycle c ON c.id = s.cycle_id"
    )
    documents = {(start, who): json.loads(text) for start, who, text in validator.rows(query)}
    peaks = [cycle for cycle in cycles if cycle == peak_of(cycle)]
    assert len(peaks) == 2
    for cycle in cycles:
        for miner, reason in (
            (miners.slow, LATE),
            (miners.refusing, REFUSED),
            (miners.forging, REFUSED),
        ):
            document = documents[cycle.start, miner.hotkey]
            assert list(reasons(document)) == [reason], (cycle, document)
            assert document["u16"] == 0
        assert documents[cycle.start, honest]["u16"] > 0
        assert list(reasons(documents[cycle.start, honest])) == ["completed synthetic jobs"]
        has_danced = DANCED in reasons(documents[cycle.start, miners.dancing.hotkey])
        assert has_danced == (cycle.start >= peaks[1].start), cycle
    for full in (cycles[0], *peaks):
        document = reasons(documents[full.start, miners.boastful.hotkey])
        assert {"completed synthetic jobs": "1", REFUSED: "2"}.items() <= document.items()


def reasons(document: dict[str, Any]) -> dict[str, str]:
    """The numbers of a document's line items by their reasons, for classes that it offers."""
    items = ((item["reason"], str(item["number"])) for item in document["items"])
    return {reason: number for reason, number in items if reason != "class not offered"}


async def check_commands(
    validator: FastValidator, miners: Miners, cycle: Cycle, folder: Path
) -> None:
    """The commands say the same as the rows."""
    at = ["--cycle", str(cycle.start)]
    assert f"{LATE} [{CPU}]: 1 jobs" in await validator.command("explain", miners.slow.hotkey, *at)
    forged = await validator.command("explain", miners.forging.hotkey, *at)
    assert f"{REFUSED} [always_on.test]: 2 jobs" in forged
    (folder / "cycle").write_text(await validator.command("export", *at))
    await printed(clean_env(), "-m", "validator", "replay", str(folder / "cycle"))


def outcomes(validator: FastValidator, cycle: Cycle) -> list[tuple[Any, ...]]:
    """How the weights of a cycle ended."""
    query = "SELECT state, landing, block FROM weights_weightsset WHERE cycle_start = %s"
    return validator.rows(query, cycle.start)


def check_landed(network: FastNetwork, cycle: Cycle) -> None:
    """The weights of both validators were accepted within the window, and landed."""
    for validator in network.validators:
        ((state, landing, block),) = outcomes(validator, cycle)
        assert (state, landing) == ("published", "landed")
        assert cycle.start + (cycle.stop - cycle.start) // 2 <= block < cycle.stop


@pytest.mark.usefixtures("worked")
async def test_a_readable_upgrade_costs_no_window(fast: FastNetwork) -> None:
    cycle = fast.next_cycle()
    await fast.begin_cycle(cycle)
    fast.upgrade("readable")
    await fast.run_batches(cycle)
    fast.upgrade("readable")
    await fast.set_weights(cycle)
    check_landed(fast, cycle)


@pytest.mark.usefixtures("worked")
@pytest.mark.parametrize("kind", ["metagraph", "metadata"])
async def test_under_an_unreadable_runtime_nothing_is_set_and_the_reason_is_said(
    fast: FastNetwork, kind: str
) -> None:
    cycle = fast.next_cycle()
    await fast.begin_cycle(cycle)
    await fast.run_batches(cycle)
    fast.advance_to(cycle.start + (cycle.stop - cycle.start) // 2)
    await fast.read_chain()
    version = fast.upgrade(kind)
    # Of a runtime whose metadata cannot be decoded, the version is not known either.
    runtime = f"runtime {version}" if kind == "metagraph" else "present runtime"
    reason = f"%cannot read the {kind} of the chain's {runtime}:%install an SDK%"
    refused = (
        "SELECT 1 FROM weights_weightsset WHERE cycle_start = %s AND state = 'trying' "
        "AND attempts = 0 AND outcome LIKE %s"
    )
    await fast.each(PUBLISH, lambda one: one.rows(refused, cycle.start, reason), "a refusal")
    fast.upgrade("readable")
    await fast.set_weights(cycle)
    check_landed(fast, cycle)


@pytest.mark.usefixtures("worked")
async def test_epochs_off_the_schedule_cost_no_window(fast: FastNetwork) -> None:
    cycle = fast.next_cycle()
    await fast.begin_cycle(cycle)
    fast.admin.trigger_epoch(1)
    await fast.run_batches(cycle)
    fast.admin.set_hyperparameter("max_epochs_per_block", 0)
    fast.admin.trigger_epoch(1)
    fast.advance_to(fast.admin.head() + 3)
    await fast.set_weights(cycle)
    fast.admin.set_hyperparameter("max_epochs_per_block", 1)
    check_landed(fast, cycle)


@pytest.mark.usefixtures("worked")
@pytest.mark.parametrize(("tempo", "is_set_before"), [(TEMPO + 2, False), (TEMPO, True)])
async def test_a_new_tempo_in_mid_cycle_costs_no_window(
    fast: FastNetwork, tempo: int, *, is_set_before: bool
) -> None:
    cut = cycle = fast.next_cycle()
    await fast.begin_cycle(cycle)
    await fast.run_batches(cycle)
    if is_set_before:
        await fast.set_weights(cycle)
    fast.admin.set_hyperparameter("tempo", tempo)
    fast.tempo = tempo
    await fast.read_chain()
    for _ in range(2):
        cycle = fast.next_cycle()
        await fast.pass_cycle(cycle)
        check_landed(fast, cycle)
    for validator in fast.validators:
        check_paid_once(validator, cut.start, cycle.start)


def check_paid_once(validator: FastValidator, start: int, stop: int) -> None:
    """The weights that landed pay every block from `start` to `stop`, and none twice."""
    query = (
        "SELECT DISTINCT cycle_start, cycle_stop FROM scores_scoredcycle "
        "WHERE cycle_stop > %s AND cycle_start IN ("
        "SELECT earned_in FROM weights_weightsset WHERE landing = 'landed') ORDER BY cycle_start"
    )
    paid = validator.rows(query, start)
    assert paid[0][0] <= start
    assert paid[-1][1] == stop
    assert [one[1] for one in paid[:-1]] == [one[0] for one in paid[1:]]
