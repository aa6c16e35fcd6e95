"""The operator's client with a real local chain."""

import pytest

from compute_horde.errors import ChainError
from localnet.chain.admin import administer
from localnet.chain.testing import RunningChain, running
from tests.localnet.chain.workbench import OWNER, TAO, key


def test_the_operators_methods_change_the_chain(local_chain: RunningChain) -> None:
    with administer(local_chain.url) as admin:
        start = admin.head()
        assert admin.add_neuron(key("a").ss58_address, OWNER) == 0
        assert admin.add_neuron(key("b").ss58_address, OWNER, TAO) == 1
        admin.set_stake(key("a").ss58_address, 2 * TAO)
        assert admin.fund(OWNER, 5) == 5
        assert admin.fund(OWNER, 6) == 11
        admin.set_hyperparameter("tempo", 20)
        admin.set_hyperparameter("commit_reveal_weights_enabled", True)
        for name in ("burn", "stake_threshold", "commitment_space"):
            admin.set_hyperparameter(name, 7)
        assert admin.head() == start + 10
        assert admin.advance(5) == start + 15


def test_what_happens_by_itself_on_the_live_chain_is_made_to_happen() -> None:
    hotkey, new = key("a").ss58_address, key("b").ss58_address
    with running() as chain, administer(chain.url) as admin:
        admin.add_neuron(hotkey, OWNER)
        admin.set_owner(OWNER)
        assert admin.trigger_epoch(2) == admin.head() + 2
        admin.open_commit(hotkey, {0: 1}, mechanism=1)
        admin.fail_reveals(2)
        admin.lock_collateral(hotkey, 5)
        admin.earn(hotkey, 1)
        assert admin.swap_hotkey(hotkey, new) == 0
        admin.swap_coldkey(OWNER, hotkey)
        version = admin.call("state_getRuntimeVersion")["specVersion"]
        assert admin.upgrade_runtime("readable") > version
        assert admin.head() == 10


def test_an_error_has_the_name_of_the_chains_error(local_chain: RunningChain) -> None:
    with administer(local_chain.url) as admin:
        with pytest.raises(ChainError, match="HotKeyNotRegisteredInSubNet"):
            admin.set_stake(key("nobody").ss58_address, 1)
        assert admin.head() >= 0


def test_no_chain_is_an_error() -> None:
    with pytest.raises(ChainError, match="no local chain"), administer("ws://127.0.0.1:1"):
        pass
