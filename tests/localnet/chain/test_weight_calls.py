"""Weights in plain text and encrypted, by mechanism; what becomes of an encrypted row."""

from typing import Any

import pytest

from localnet.chain.pallets import LOCAL
from localnet.chain.weight_calls import MECHANISM_STRIDE, mechanism_index
from localnet.chain.weights import WeightRow
from tests.localnet.chain.workbench import NETUID, TAO, TEMPO, Workbench, key

ROW = {"netuid": NETUID, "dests": [0], "weights": [1], "version_key": 0}
COMMIT = {
    "netuid": NETUID,
    "commit": list(b"\xff" * 40),
    "reveal_round": 5,
    "commit_reveal_version": 4,
}


@pytest.mark.parametrize("function", ["set_weights", "set_mechanism_weights"])
def test_weights_are_stored_with_their_block(bench: Workbench, function: str) -> None:
    bench.neuron("other")
    uid = bench.neuron("a", TAO)
    row = ROW if function == "set_weights" else ROW | {"mecid": 0}
    assert bench.do("a", function, **row) is None
    assert bench.now.get("Weights", NETUID, uid) == [(0, 65535)]
    assert bench.now.get("LastUpdate", NETUID) == [0, bench.number]
    assert bench.do("a", function, **row) == "SettingWeightsTooFast"


def test_a_refused_row_changes_nothing(bench: Workbench) -> None:
    bench.neuron("other")
    uid = bench.neuron("poor")
    assert bench.do("poor", "set_weights", **ROW) == "NeuronNoValidatorPermit"
    assert bench.now.get("Weights", NETUID, uid) == []
    assert bench.now.get("LastUpdate", NETUID) == [0, 0]


def test_weights_need_a_neuron_a_subnet_and_the_first_mechanism(bench: Workbench) -> None:
    assert bench.do("a", "set_weights", **ROW) == "HotKeyNotRegisteredInSubNet"
    assert bench.do("a", "set_weights", **ROW | {"netuid": 99}) == "SubnetNotExists"
    second = ROW | {"mecid": 1}
    assert bench.do("a", "set_mechanism_weights", **second) == "MechanismDoesNotExist"


def test_the_subnet_accepts_either_plain_or_encrypted_weights(bench: Workbench) -> None:
    bench.neuron("a", TAO)
    assert bench.do("a", "commit_timelocked_weights", **COMMIT) == "CommitRevealDisabled"
    bench.put("CommitRevealWeightsEnabled", NETUID, value=True)
    assert bench.do("a", "set_weights", **ROW) == "CommitRevealEnabled"
    assert bench.do("a", "commit_timelocked_weights", **COMMIT) is None


def test_an_encrypted_row_is_stored_unchanged(bench: Workbench) -> None:
    bench.neuron("a", TAO)
    bench.put("CommitRevealWeightsEnabled", NETUID, value=True)
    call = "commit_timelocked_mechanism_weights"
    assert bench.do("a", call, **COMMIT, mecid=0) is None
    epoch = bench.now.get("SubnetEpochIndex", NETUID)
    kept = bench.now.get("TimelockedWeightCommits", NETUID, epoch)
    assert kept == [(key("a").ss58_address, bench.number, "0x" + "ff" * 40, 5)]
    assert bench.now.get("LastUpdate", NETUID) == [bench.number]
    assert bench.do("a", call, **COMMIT, mecid=0) == "CommittingWeightsTooFast"


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"commit_reveal_version": 3}, "IncorrectCommitRevealVersion"),
        ({"commit": [255] * 5001}, "CommitPayloadTooLarge"),
        ({"netuid": 99}, "SubnetNotExists"),
    ],
)
def test_an_invalid_encrypted_row_is_refused(
    bench: Workbench, change: dict[str, Any], name: str
) -> None:
    bench.neuron("a", TAO)
    bench.put("CommitRevealWeightsEnabled", NETUID, value=True)
    assert bench.do("a", "commit_timelocked_weights", **COMMIT | change) == name


def test_encrypted_rows_are_limited_per_epoch_and_need_stake(bench: Workbench) -> None:
    bench.neuron("a", 5)
    bench.put("CommitRevealWeightsEnabled", NETUID, value=True)
    bench.put("WeightsSetRateLimit", NETUID, value=0)
    bench.put("Tempo", NETUID, value=1000)
    errors = [bench.do("a", "commit_timelocked_weights", **COMMIT) for _ in range(11)]
    assert errors == [None] * 10 + ["TooManyUnrevealedCommits"]
    bench.put("StakeThreshold", value=6)
    refused = bench.do("a", "commit_timelocked_weights", **COMMIT)
    assert refused == "NotEnoughStakeToSetWeights"


@pytest.fixture
def committer(bench: Workbench) -> Workbench:
    """A chain with the validator `a`, whose uid is 0, and two miners; weights are encrypted."""
    bench.neuron("a", TAO)
    bench.neuron("b")
    bench.neuron("c")
    bench.put("CommitRevealWeightsEnabled", NETUID, value=True)
    return bench


def open_commit(bench: Workbench, row: WeightRow, index: int = NETUID) -> None:
    opened = {"row": row, "version_key": 0}
    bench.put("OpenedCommits", index, key("a").ss58_address, value=opened, pallet=LOCAL)


def to_epoch(bench: Workbench) -> None:
    """Produce blocks up to the next epoch, which is one of the untouched schedule."""
    bench.advance(TEMPO - bench.number % TEMPO)


def test_a_mechanism_has_weights_and_a_rate_limit_of_its_own(bench: Workbench) -> None:
    bench.neuron("other")
    uid = bench.neuron("a", TAO)
    bench.put("MechanismCountCurrent", NETUID, value=8)
    assert bench.do("a", "set_mechanism_weights", **ROW, mecid=0) is None
    assert bench.do("a", "set_mechanism_weights", **ROW, mecid=7) is None
    index = 7 * MECHANISM_STRIDE + NETUID
    assert bench.now.get("Weights", index, uid) == [(0, 65535)]
    assert bench.now.get("LastUpdate", index) == [0, bench.number]
    assert bench.events("WeightsSet") == [(index, uid)]
    assert bench.do("a", "set_mechanism_weights", **ROW, mecid=7) == "SettingWeightsTooFast"
    assert bench.do("a", "set_mechanism_weights", **ROW, mecid=8) == "MechanismDoesNotExist"


def test_an_opened_commit_is_revealed_in_the_epoch_after_its_own(committer: Workbench) -> None:
    assert committer.do("a", "commit_timelocked_weights", **COMMIT) is None
    committed = committer.number
    open_commit(committer, [(1, 3), (2, 1)])
    committer.advance(TEMPO - 1 - committer.number)
    assert committer.now.get("Weights", NETUID, 0) == []
    committer.advance(1)
    assert committer.now.get("Weights", NETUID, 0) == [(1, 65535), (2, 21845)]
    assert committer.events("WeightsSet") == [(NETUID, 0)]
    assert committer.events("TimelockedWeightsRevealed") == [(NETUID, key("a").ss58_address)]
    assert committer.now.get("TimelockedWeightCommits", NETUID, 0) == []
    assert committer.now.get("LastUpdate", NETUID)[0] == committed


def test_a_commit_in_the_epochs_own_block_belongs_to_the_new_epoch(committer: Workbench) -> None:
    committer.advance(TEMPO - 1 - committer.number)
    assert committer.do("a", "commit_timelocked_weights", **COMMIT) is None
    assert committer.number == TEMPO
    assert committer.now.get("TimelockedWeightCommits", NETUID, 0) == []
    assert len(committer.now.get("TimelockedWeightCommits", NETUID, 1)) == 1


def test_a_commit_that_cannot_be_decrypted_waits_and_then_expires_silently(
    committer: Workbench,
) -> None:
    assert committer.do("a", "commit_timelocked_weights", **COMMIT) is None
    to_epoch(committer)
    assert len(committer.now.get("TimelockedWeightCommits", NETUID, 0)) == 1
    committer.advance(TEMPO - 1)
    assert len(committer.now.get("TimelockedWeightCommits", NETUID, 0)) == 1
    committer.advance(1)
    assert committer.now.get("TimelockedWeightCommits", NETUID, 0) == []
    assert committer.now.get("Weights", NETUID, 0) == []
    assert committer.events("TimelockRevealFailed") == []


def test_a_reveal_may_come_late_in_its_epoch(committer: Workbench) -> None:
    assert committer.do("a", "commit_timelocked_weights", **COMMIT) is None
    to_epoch(committer)
    committer.advance(3)
    open_commit(committer, [(1, 1)])
    assert committer.now.get("Weights", NETUID, 0) == [(1, 65535)]


@pytest.mark.parametrize("reason", ["operator", "row", "key", "stake"])
def test_a_reveal_that_fails_loses_the_weights_with_an_event(
    committer: Workbench, reason: str
) -> None:
    assert committer.do("a", "commit_timelocked_weights", **COMMIT) is None
    hotkey = key("a").ss58_address
    open_commit(committer, [(9, 1)] if reason == "row" else [(1, 1)])
    if reason == "operator":
        committer.put("RevealsToFail", value=1, pallet=LOCAL)
    elif reason == "key":
        committer.put("Uids", NETUID, hotkey, value=None)
    elif reason == "stake":
        committer.put("StakeThreshold", value=2 * TAO)
    to_epoch(committer)
    assert committer.events("TimelockRevealFailed") == [(NETUID, hotkey, COMMIT["reveal_round"])]
    assert committer.now.get("Weights", NETUID, 0) == []
    assert committer.now.get("TimelockedWeightCommits", NETUID, 0) == []
    assert committer.now.get("RevealsToFail", pallet=LOCAL) == 0


def test_each_mechanism_reveals_its_own_commits(committer: Workbench) -> None:
    committer.put("MechanismCountCurrent", NETUID, value=2)
    call = "commit_timelocked_mechanism_weights"
    assert committer.do("a", call, **COMMIT, mecid=1) is None
    open_commit(committer, [(1, 1)])
    open_commit(committer, [(2, 1)], mechanism_index(NETUID, 1))
    to_epoch(committer)
    assert committer.now.get("Weights", NETUID, 0) == []
    assert committer.now.get("Weights", mechanism_index(NETUID, 1), 0) == [(2, 65535)]


def test_the_reveal_period_is_counted_in_epochs(committer: Workbench) -> None:
    committer.put("RevealPeriodEpochs", NETUID, value=2)
    assert committer.do("a", "commit_timelocked_weights", **COMMIT) is None
    open_commit(committer, [(1, 1)])
    to_epoch(committer)
    assert committer.now.get("Weights", NETUID, 0) == []
    to_epoch(committer)
    assert committer.now.get("Weights", NETUID, 0) == [(1, 65535)]
