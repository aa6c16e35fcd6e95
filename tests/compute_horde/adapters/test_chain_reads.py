"""Reads of several steps from a real local chain: schedule, hyperparameters, collateral, keys."""

from decimal import Decimal

import pytest

from compute_horde.adapters import chain_reads
from compute_horde.adapters.chain import BittensorChain, ChainRefused, connect
from compute_horde.adapters.chain_port import Collateral, CollateralPolicy, KeyLineage
from localnet.chain.admin import Admin, administer
from localnet.chain.testing import RunningChain, running
from tests.compute_horde.adapters.conftest import NETUID, TAO, key

OWNER = key("owner").ss58_address


def test_the_schedule_is_that_of_the_chain_at_the_block(
    chain: BittensorChain, admin: Admin
) -> None:
    before = chain.epoch_schedule()
    assert before.next_epoch_block == before.last_epoch_block + before.tempo
    due = admin.trigger_epoch(3)
    pending = chain.epoch_schedule()
    assert (pending.block, pending.pending_epoch_block) == (due - 3, due)
    admin.advance(3)

    after = chain.epoch_schedule()
    assert (after.block, after.last_epoch_block, after.pending_epoch_block) == (due, due, None)
    assert (after.epoch_index, after.blocks_since_last_step) == (before.epoch_index + 1, 0)
    assert after.next_epoch_block == due + after.tempo
    assert chain.epoch_schedule(due - 3) == pending


def test_a_deferred_epoch_moves_the_prediction(chain: BittensorChain, admin: Admin) -> None:
    admin.set_hyperparameter("max_epochs_per_block", 0)
    try:
        due = chain.epoch_schedule().next_epoch_block
        assert due is not None
        admin.advance(due - chain.head())
        assert chain.epoch_schedule().next_epoch_block == due + 1
        assert [event.name for event in chain.events(due)] == ["EpochDeferred"]
        assert chain.epoch_schedule().pending_epoch_block == due + 1
    finally:
        admin.set_hyperparameter("max_epochs_per_block", 2)


def test_after_a_change_of_the_tempo_the_last_step_counts_too(
    chain: BittensorChain, admin: Admin
) -> None:
    due = admin.trigger_epoch()
    admin.advance(6)
    try:
        admin.set_hyperparameter("tempo", 9)
        changed = chain.epoch_schedule()
        assert (changed.last_epoch_block, changed.blocks_since_last_step) == (due + 7, 7)
        assert changed.next_epoch_block == due + 10
        admin.advance(3)
        assert chain.epoch_schedule().last_epoch_block == due + 10
    finally:
        admin.set_hyperparameter("tempo", 10)


def test_a_tempo_of_0_has_no_next_epoch() -> None:
    with running(tempo=0) as one, connect(one.url, NETUID) as chain:
        schedule = chain.epoch_schedule()
        assert (schedule.tempo, schedule.next_epoch_block) == (0, None)


def test_a_subnet_that_does_not_exist_has_none(local_chain: RunningChain) -> None:
    with connect(local_chain.url, NETUID + 1) as elsewhere:
        for read in (elsewhere.epoch_schedule, elsewhere.hyperparameters, elsewhere.metagraph):
            with pytest.raises(ChainRefused) as refused:
                read()
            assert refused.value.reason == "subnet_not_exists"


def test_without_an_api_the_hyperparameters_come_from_storage(
    chain: BittensorChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported = chain.hyperparameters()
    monkeypatch.setattr(chain_reads, "HYPERPARAMETER_APIS", ("get_subnet_hyperparams_v99",))
    assert chain.hyperparameters() == reported


def test_the_activity_cutoff_is_a_share_of_the_tempo(chain: BittensorChain, admin: Admin) -> None:
    admin.set_hyperparameter("activity_cutoff_factor", 2500)
    assert chain.hyperparameters().activity_cutoff == 25


def test_collateral_is_read_for_one_and_for_all(chain: BittensorChain, admin: Admin) -> None:
    bonded, free = key("bonded").ss58_address, key("free").ss58_address
    admin.add_neuron(bonded, OWNER)
    admin.add_neuron(free, OWNER)
    assert chain.collaterals() == {}
    assert chain.collateral_policy() == CollateralPolicy(Decimal(0), Decimal(1))
    admin.set_hyperparameter("collateral_drain_ratio", 1 << 62)
    admin.lock_collateral(bonded, 9 * TAO)
    admin.earn(bonded, 4 * TAO)

    expected = Collateral(8 * TAO, 0, 4 * TAO, Decimal("0.25"))
    assert chain.collateral(bonded) == expected
    assert chain.collateral(free) is None
    assert chain.collateral(key("nobody").ss58_address) is None
    assert chain.collaterals() == {bonded: expected}
    assert chain.collateral_policy().drain_ratio == Decimal("0.25")


def test_a_ban_can_follow_swapped_keys(chain: BittensorChain, admin: Admin) -> None:
    first, second, third = (key(f"line-{number}").ss58_address for number in range(3))
    cold = key("cold").ss58_address
    admin.add_neuron(first, cold)
    assert chain.lineage(first) == KeyLineage(first, cold, None)
    admin.swap_hotkey(first, second)
    admin.swap_hotkey(second, third)
    admin.swap_coldkey(cold, OWNER)
    assert chain.lineage(third) == KeyLineage(first, cold, None)
    assert chain.lineage(first).successor == second


def test_the_events_of_a_block_are_of_this_subnet(local_chain: RunningChain) -> None:
    with administer(local_chain.url) as admin, connect(local_chain.url, NETUID + 1) as elsewhere:
        admin.set_hyperparameter("max_epochs_per_block", 0)
        block = admin.trigger_epoch()
        admin.set_hyperparameter("max_epochs_per_block", 2)
        assert elsewhere.events(block) == ()
        with connect(local_chain.url, NETUID) as here:
            assert [event.name for event in here.events(block)] == ["EpochDeferred"]
