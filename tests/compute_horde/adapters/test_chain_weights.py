"""Weights by mechanism, and what the chain holds of ours after they were committed."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from compute_horde.adapters.chain import (
    BittensorChain,
    ChainRefused,
    RateLimited,
    connect,
)
from compute_horde.adapters.chain_port import SubnetEvent
from localnet.chain.admin import Admin, administer
from localnet.chain.testing import RunningChain, running
from tests.compute_horde.adapters.conftest import NETUID, TAO, key

OWNER = key("owner").ss58_address
VALIDATOR = key("validator").ss58_address


@pytest.fixture
def node() -> Iterator[RunningChain]:
    with running() as one:
        yield one


@pytest.fixture
def admin(node: RunningChain) -> Iterator[Admin]:
    """A chain with a validator, whose uid is 0, and two miners."""
    with administer(node.url) as line:
        for name in ("validator", "miner-1", "miner-2"):
            line.add_neuron(key(name).ss58_address, OWNER, TAO if name == "validator" else 0)
        yield line


@pytest.fixture
def ours(admin: Admin, node: RunningChain) -> Iterator[BittensorChain]:
    with connect(node.url, NETUID, key("validator")) as chain:
        yield chain


def to_next_epoch(admin: Admin, chain: BittensorChain) -> int:
    """Advance to the block that the chain predicts for its next epoch."""
    schedule = chain.epoch_schedule()
    assert schedule.next_epoch_block is not None
    return admin.advance(schedule.next_epoch_block - schedule.block)


def test_each_mechanism_has_weights_of_its_own(admin: Admin, ours: BittensorChain) -> None:
    assert ours.mechanism_count() == 1
    admin.set_hyperparameter("mechanism_count", 8)
    assert ours.mechanism_count() == 8
    ours.set_weights({1: 1})
    accepted = ours.set_weights({1: 1, 2: 2}, mechanism=7)
    assert ours.weights(0) == {1: 65535}
    assert ours.weights(0, mechanism=7) == {1: 32768, 2: 65535}
    assert ours.weights(0, mechanism=3) == {}
    assert ours.events(accepted.block) == (SubnetEvent("WeightsSet", 7, uid=0),)
    with pytest.raises(RateLimited):
        ours.set_weights({1: 1}, mechanism=7)


@pytest.mark.parametrize("mechanism", [-1, 8])
def test_a_mechanism_that_cannot_be_is_refused(ours: BittensorChain, mechanism: int) -> None:
    for call in (
        lambda: ours.set_weights({1: 1}, mechanism=mechanism),
        lambda: ours.weights(0, mechanism=mechanism),
        lambda: ours.weight_commits(VALIDATOR, mechanism=mechanism),
    ):
        with pytest.raises(ChainRefused, match="a mechanism's number is 0 to 7"):
            call()


def test_a_mechanism_that_the_subnet_lacks_is_refused(ours: BittensorChain) -> None:
    with pytest.raises(ChainRefused) as refused:
        ours.set_weights({1: 1}, mechanism=1)
    assert refused.value.name == "MechanismDoesNotExist"


@pytest.mark.parametrize("mechanism", [0, 1])
def test_a_commit_is_held_until_it_is_revealed(
    admin: Admin, ours: BittensorChain, mechanism: int
) -> None:
    admin.set_hyperparameter("mechanism_count", 2)
    admin.set_hyperparameter("commit_reveal_weights_enabled", True)
    accepted = ours.set_weights({1: 3, 2: 1}, mechanism)
    assert accepted.reveal_round is not None
    committed = SubnetEvent(
        "TimelockedWeightsCommitted",
        mechanism,
        hotkey=VALIDATOR,
        reveal_round=accepted.reveal_round,
    )
    assert ours.events(accepted.block) == (committed,)

    (held,) = ours.weight_commits(VALIDATOR, mechanism)
    assert (held.epoch_index, held.block) == (0, accepted.block)
    assert held.reveal_round == accepted.reveal_round
    assert timedelta(0) < held.reveals_at - datetime.now(UTC) < timedelta(minutes=5)
    assert ours.weight_commits(VALIDATOR, 1 - mechanism) == ()
    assert ours.weight_commits(OWNER, mechanism) == ()

    admin.open_commit(VALIDATOR, {1: 65535, 2: 21845}, mechanism)
    assert ours.weights(0, mechanism) == {}
    epoch = to_next_epoch(admin, ours)
    assert ours.weights(0, mechanism) == {1: 65535, 2: 21845}
    assert ours.weight_commits(VALIDATOR, mechanism) == ()
    assert ours.events(epoch) == (
        SubnetEvent("WeightsSet", mechanism, uid=0),
        SubnetEvent("TimelockedWeightsRevealed", mechanism, hotkey=VALIDATOR),
    )
    assert ours.metagraph().neurons[0].last_update == (accepted.block if mechanism == 0 else 0)


def test_a_failed_reveal_loses_the_weights_and_leaves_an_event(
    admin: Admin, ours: BittensorChain
) -> None:
    ours.set_weights({2: 1})
    admin.set_hyperparameter("commit_reveal_weights_enabled", True)
    admin.set_hyperparameter("weights_rate_limit", 0)
    accepted = ours.set_weights({1: 1})
    admin.open_commit(VALIDATOR, {1: 65535})
    admin.fail_reveals()
    epoch = to_next_epoch(admin, ours)
    assert ours.events(epoch) == (
        SubnetEvent(
            "TimelockRevealFailed", 0, hotkey=VALIDATOR, reveal_round=accepted.reveal_round
        ),
    )
    assert ours.weights(0) == {2: 65535}
    assert ours.weight_commits(VALIDATOR) == ()


def test_a_swapped_key_cannot_reveal_what_the_old_one_committed(
    admin: Admin, ours: BittensorChain
) -> None:
    admin.set_hyperparameter("commit_reveal_weights_enabled", True)
    ours.set_weights({1: 1})
    admin.open_commit(VALIDATOR, {1: 65535})
    admin.swap_hotkey(VALIDATOR, key("new").ss58_address)
    names = [event.name for event in ours.events(to_next_epoch(admin, ours))]
    assert names == ["TimelockRevealFailed"]
    assert ours.weights(0) == {}
