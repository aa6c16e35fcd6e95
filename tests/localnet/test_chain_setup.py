"""The neurons and balances of a new chain."""

from localnet import chain_setup
from localnet.chain import testing
from localnet.chain.admin import administer
from localnet.identities import ensure_identity
from localnet.network_dir import NetworkDir


def test_every_neuron_is_registered_once(tmp_path):
    network_dir = NetworkDir.at(tmp_path)
    validator, miner = (
        ensure_identity(network_dir, "validator"),
        ensure_identity(network_dir, "miner"),
    )
    with testing.running() as chain:
        chain_setup.register_all(chain.url, validator, (miner,))
        chain_setup.register_all(chain.url, validator, (miner,))
        with administer(chain.url) as admin:
            admin.set_stake(validator.hotkey, 5)
            admin.set_stake(miner.hotkey, 0)
            assert admin.fund(miner.coldkey, 0) > 0
