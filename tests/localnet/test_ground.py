"""A new chain, furnished."""

from localnet import ground
from localnet.chain import testing
from localnet.chain.admin import administer
from localnet.home import Home
from localnet.identities import identity


def test_everybody_is_registered_once(tmp_path):
    home = Home.at(tmp_path)
    validator, miner = identity(home, "validator"), identity(home, "miner")
    with testing.running() as chain:
        ground.furnish(chain.url, validator, (miner,))
        ground.furnish(chain.url, validator, (miner,))
        with administer(chain.url) as admin:
            admin.set_stake(validator.hotkey, 5)
            admin.set_stake(miner.hotkey, 0)
            assert admin.fund(miner.coldkey, 0) > 0
