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


def test_a_share_of_the_burn_is_locked_as_collateral(bench: Workbench) -> None:
    bench.put("Burn", NETUID, value=3 * TAO)
    bench.put("CollateralLockShare", NETUID, value=65535 // 5)
    owner, hotkey = key("rich").ss58_address, key("new").ss58_address
    bench.node.alter(lambda storage: subnet.fund(storage, owner, 3 * TAO))
    assert bench.do("rich", "burned_register", netuid=NETUID, hotkey=hotkey) is None
    assert bench.now.get("Account", owner, pallet="System")["data"]["free"] == 0
    assert bench.now.get("MinerCollateral", NETUID, hotkey, owner)["locked"] == 3 * TAO // 5
    assert bench.now.get("TotalHotkeyAlpha", hotkey, NETUID) == 3 * TAO // 5


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
