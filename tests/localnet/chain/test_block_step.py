"""At the start of a block the epoch runs before weights are revealed."""

from localnet.chain.block_step import block_step
from localnet.chain.pallets import LOCAL
from localnet.chain.storage import Event, Storage
from tests.localnet.chain.workbench import NETUID, TAO, TEMPO, Workbench, key

COMMIT = {
    "netuid": NETUID,
    "commit": [1] * 40,
    "reveal_round": 5,
    "commit_reveal_version": 4,
}


def test_an_epoch_grants_the_permits_anew(bench: Workbench) -> None:
    bench.neuron("a", 1)
    bench.put("TotalHotkeyAlpha", key("a").ss58_address, NETUID, value=0)
    bench.advance(TEMPO - 1 - bench.number)
    assert bench.now.get("ValidatorPermit", NETUID) == [True]
    bench.advance(1)
    assert bench.now.get("ValidatorPermit", NETUID) == [False]


def test_its_events_come_before_those_of_extrinsics(bench: Workbench) -> None:
    bench.neuron("a", TAO)
    bench.put("CommitRevealWeightsEnabled", NETUID, value=True)
    assert bench.do("a", "commit_timelocked_weights", **COMMIT) is None
    bench.put("RevealsToFail", value=1, pallet=LOCAL)
    bench.advance(TEMPO - 1 - bench.number)
    assert bench.do("a", "remark", "System", remark=[]) is None
    records = bench.now.get("Events", pallet="System")
    assert [(one["phase"], one["event_id"]) for one in records] == [
        ("Initialization", "TimelockRevealFailed"),
        ("ApplyExtrinsic", "ExtrinsicSuccess"),
    ]


def test_a_deferred_epoch_grants_and_reveals_nothing(bench: Workbench) -> None:
    bench.put("MaxEpochsPerBlock", value=0)
    bench.advance(TEMPO - 1 - bench.number)
    found: list[Event] = []

    def change(storage: Storage) -> None:
        found.extend(block_step(storage, NETUID))

    bench.node.alter(change)
    assert [list(content) for _, content in found] == [["EpochDeferred"]]
    assert bench.now.get("SubnetEpochIndex", NETUID) == 0
