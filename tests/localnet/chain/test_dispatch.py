"""Calls: their writes, and every error of the chain."""

import ipaddress
from typing import Any

import pytest

from localnet.chain import epochs, subnet
from localnet.chain.pallets import COMMITMENTS
from tests.localnet.chain.workbench import NETUID, OWNER, TAO, Workbench, key

AXON = {
    "netuid": NETUID,
    "version": 1,
    "ip": int(ipaddress.ip_address("127.0.0.1")),
    "port": 8091,
    "ip_type": 4,
    "protocol": 4,
    "placeholder1": 0,
    "placeholder2": 0,
}
ROW = {"netuid": NETUID, "dests": [0], "weights": [1], "version_key": 0}
COMMIT = {
    "netuid": NETUID,
    "commit": list(b"\xff" * 40),
    "reveal_round": 5,
    "commit_reveal_version": 4,
}


def info(*texts: bytes) -> dict[str, Any]:
    fields = [{f"Raw{len(text)}": "0x" + text.hex()} for text in texts]
    return {"netuid": NETUID, "info": {"fields": fields}}


def test_registering_costs_the_burn(bench: Workbench) -> None:
    bench.put("Burn", NETUID, value=3 * TAO)
    owner = key("rich").ss58_address
    asked = {"netuid": NETUID, "hotkey": key("new").ss58_address}
    assert bench.do("rich", "burned_register", **asked) == "NotEnoughBalanceToStake"
    assert bench.now.get("Uids", NETUID, asked["hotkey"]) is None

    bench.node.alter(lambda storage: subnet.fund(storage, owner, 5 * TAO))
    assert bench.do("rich", "burned_register", **asked) is None
    assert bench.now.get("Uids", NETUID, asked["hotkey"]) == 0
    assert bench.now.get("Owner", asked["hotkey"]) == owner
    assert bench.now.get("LastUpdate", NETUID) == [bench.number]
    assert bench.now.get("Account", owner, pallet="System")["data"]["free"] == 2 * TAO
    assert bench.do("rich", "burned_register", **asked) == "HotKeyAlreadyRegisteredInSubNet"


def test_registration_may_be_closed_and_needs_a_subnet(bench: Workbench) -> None:
    asked = {"netuid": NETUID, "hotkey": OWNER}
    assert bench.do("a", "burned_register", **asked | {"netuid": 99}) == "SubnetNotExists"
    bench.put("NetworkRegistrationAllowed", NETUID, value=False)
    assert bench.do("a", "burned_register", **asked) == "SubNetRegistrationDisabled"


def test_a_transfer_keeps_the_sum_of_balances(bench: Workbench) -> None:
    bench.node.alter(lambda storage: subnet.fund(storage, key("a").ss58_address, 10))
    pay = {"dest": {"Id": OWNER}, "value": 7}
    assert bench.do("a", "transfer_keep_alive", "Balances", **pay) is None
    assert bench.do("a", "transfer_keep_alive", "Balances", **pay) == "InsufficientBalance"
    free = [
        bench.now.get("Account", account, pallet="System")["data"]["free"]
        for account in (key("a").ss58_address, OWNER)
    ]
    assert free == [3, 7]


def test_an_axon_is_stored_with_its_block(bench: Workbench) -> None:
    bench.neuron("a")
    assert bench.do("a", "serve_axon", **AXON) is None
    kept = bench.now.get("Axons", NETUID, key("a").ss58_address)
    assert kept == {name: value for name, value in AXON.items() if name != "netuid"} | {
        "block": bench.number
    }


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"port": 0}, "InvalidPort"),
        ({"ip_type": 5}, "InvalidIpType"),
        ({"ip": 0}, "InvalidIpAddress"),
        ({"ip": 2**32 - 1}, "InvalidIpAddress"),
        ({"ip": 2**32}, "InvalidIpAddress"),
        ({"ip": 0, "port": 1}, None),
        ({"ip": 2**32, "ip_type": 6}, None),
    ],
)
def test_an_axon_must_be_an_address(
    bench: Workbench, change: dict[str, int], name: str | None
) -> None:
    bench.neuron("a")
    assert bench.do("a", "serve_axon", **AXON | change) == name


def test_serving_has_a_rate_limit_and_needs_a_neuron(bench: Workbench) -> None:
    assert bench.do("a", "serve_axon", **AXON) == "HotKeyNotRegisteredInNetwork"
    bench.neuron("a")
    bench.put("ServingRateLimit", NETUID, value=3)
    assert bench.do("a", "serve_axon", **AXON) is None
    assert bench.do("a", "serve_axon", **AXON) == "ServingRateLimitExceeded"
    bench.advance(1)
    assert bench.do("a", "serve_axon", **AXON) is None


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


@pytest.mark.parametrize("content", [b"<M:A1;S2>", b"", b"\x00\xff", b"0x41", "é".encode()])
def test_a_commitment_is_stored_unchanged(bench: Workbench, content: bytes) -> None:
    bench.neuron("a")
    assert bench.do("a", "set_commitment", COMMITMENTS, **info(content)) is None
    record = bench.now.get("CommitmentOf", NETUID, key("a").ss58_address, pallet=COMMITMENTS)
    assert record["block"] == bench.number
    (field,) = record["info"]["fields"]
    assert list(field) == [f"Raw{len(content)}"]
    kept = field[f"Raw{len(content)}"]
    assert kept == ("0x" + content.hex() if content else [])


def test_commitments_are_for_neurons_with_one_field(bench: Workbench) -> None:
    error = bench.do("a", "set_commitment", COMMITMENTS, **info(b"x"))
    assert error == "AccountNotAllowedCommit"
    bench.neuron("a")
    error = bench.do("a", "set_commitment", COMMITMENTS, **info(b"x", b"y"))
    assert error == "TooManyFieldsInCommitmentInfo"


def test_commitments_share_a_space_that_is_free_again_next_epoch(bench: Workbench) -> None:
    bench.neuron("a")
    bench.put("MaxSpace", value=250, pallet=COMMITMENTS)
    following = epochs.schedule(bench.now, NETUID).next_epoch
    assert following is not None
    bench.advance(following - bench.number)
    errors = [
        bench.do("a", "set_commitment", COMMITMENTS, **info(b"x" * size)) for size in (1, 128, 1)
    ]
    assert errors == [None, None, "SpaceLimitExceeded"]
    bench.advance(11)
    assert bench.do("a", "set_commitment", COMMITMENTS, **info(b"x")) is None


def test_a_remark_does_nothing(bench: Workbench) -> None:
    assert bench.do("a", "remark", "System", remark=list(b"hello")) is None
