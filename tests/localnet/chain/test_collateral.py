"""Collateral is locked, filled up to its minimum, and released by what the miner earns."""

from typing import Any

import bittensor

from localnet.chain import collateral
from localnet.chain.admin import administer
from localnet.chain.testing import RunningChain
from tests.localnet.chain.workbench import NETUID, OWNER, TAO, Workbench, key

HOTKEY = key("a").ss58_address


def bond(bench: Workbench) -> dict[str, Any]:
    return collateral.bond(bench.now, NETUID, HOTKEY, OWNER)


def earn(bench: Workbench, amount: int) -> int:
    """Pay the miner; what is locked then."""
    bench.node.alter(lambda storage: collateral.earn(storage, NETUID, HOTKEY, amount))
    return int(bond(bench)["locked"])


def lock(bench: Workbench, amount: int) -> None:
    bench.node.alter(
        lambda storage: collateral.lock(storage, NETUID, HOTKEY, OWNER, amount, is_new=True)
    )


def test_what_is_earned_releases_the_lock_at_the_ratio_of_the_time(bench: Workbench) -> None:
    bench.neuron("a")
    bench.put("CollateralDrainRatio", NETUID, value={"bits": collateral.ONE // 2})
    lock(bench, 100)
    bench.put("CollateralDrainRatio", NETUID, value={"bits": 0})
    assert earn(bench, 60) == 70
    assert bond(bench)["earned"] == 60
    assert bench.now.get("TotalHotkeyAlpha", HOTKEY, NETUID) == 160
    assert earn(bench, 1000) == 0


def test_the_lock_is_filled_up_to_the_minimum_and_not_released_below_it(bench: Workbench) -> None:
    bench.neuron("a")
    lock(bench, 10)
    asked = {"netuid": NETUID, "hotkey": HOTKEY}
    assert bench.do("owner", "set_min_collateral", **asked, min_locked=25) is None
    assert earn(bench, 5) == 15
    assert earn(bench, 100) == 25
    assert earn(bench, 100) == 25
    assert bench.do("owner", "set_min_collateral", **asked, min_locked=20) is None
    assert earn(bench, 3) == 22
    assert earn(bench, 100) == 20


def test_who_never_locked_anything_has_no_record(bench: Workbench) -> None:
    bench.neuron("a")
    assert earn(bench, 5) == 0
    assert bench.now.get("MinerCollateral", NETUID, HOTKEY, OWNER) is None
    assert bond(bench) == collateral.NO_BOND


def test_the_owner_locks_free_stake(bench: Workbench) -> None:
    bench.neuron("a", 100)
    asked = {"netuid": NETUID, "hotkey": HOTKEY, "limit_price": 0}
    assert bench.do("owner", "add_collateral", **asked, alpha=0) == "AmountTooLow"
    assert bench.do("owner", "add_collateral", **asked, alpha=101) == "NotEnoughBalanceToStake"
    assert bench.do("owner", "add_collateral", **asked, alpha=60) is None
    assert bench.events("CollateralLocked") == [{"netuid": NETUID, "hotkey": HOTKEY, "alpha": 60}]
    assert bench.do("owner", "add_collateral", **asked, alpha=41) == "NotEnoughBalanceToStake"
    assert bench.now.get("TotalHotkeyAlpha", HOTKEY, NETUID) == 100


def test_only_the_owner_changes_it(bench: Workbench) -> None:
    bench.neuron("a", 100)
    asked = {"netuid": NETUID, "hotkey": HOTKEY}
    assert bench.do("b", "set_min_collateral", **asked, min_locked=1) == "NonAssociatedColdKey"
    refused = bench.do("b", "add_collateral", **asked, alpha=1, limit_price=0)
    assert refused == "NonAssociatedColdKey"
    assert bench.do("b", "set_min_collateral", netuid=99, hotkey=HOTKEY, min_locked=1) == (
        "SubnetNotExists"
    )


async def test_the_sdk_reads_it(local_chain: RunningChain) -> None:
    with administer(local_chain.url) as admin:
        uid = admin.add_neuron(HOTKEY, OWNER)
        admin.lock_collateral(HOTKEY, 7 * TAO)
        admin.earn(HOTKEY, 2 * TAO)
        admin.set_hyperparameter("collateral_lock_share", 65535)
    async with bittensor.Subtensor(local_chain.url) as sdk:
        (record,) = await sdk.read("subnet_collateral", netuid=NETUID)
        assert (record["hotkey"], record["coldkey"], record["uid"]) == (HOTKEY, OWNER, uid)
        assert record["locked_alpha"].rao == 5 * TAO
        assert record["earned_alpha"].rao == 2 * TAO
        policy = await sdk.read("collateral_policy", netuid=NETUID)
        assert policy == {"netuid": NETUID, "lock_share": 1.0, "drain_ratio": 1.0}
        neuron = (await sdk.subnets.metagraph(NETUID)).neuron(uid)
        assert neuron.collateral_locked.rao == 5 * TAO
