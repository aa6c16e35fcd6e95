"""The address that is announced for a hotkey."""

import pytest

from compute_horde.adapters.chain_port import Metagraph
from miner.announcing import Announcer, address_towards
from miner.config import config
from miner.hotkeys.served import ServedHotkey
from tests.miner.conftest import MINER
from tests.miner.test_periodic import FakeChain, neuron


def test_the_detected_address_is_the_one_that_packets_are_sent_from():
    assert address_towards("ws://127.0.0.1:9944") == "127.0.0.1"


@pytest.mark.parametrize(("port", "missing"), [(4000, False), (8000, True), (0, True)])
def test_an_address_is_missing_where_the_chain_has_another(port, missing):
    changed = config.model_copy(update={"external_ip": "127.0.0.1", "chain_url": "ws://x"})
    announcer = Announcer(changed, ServedHotkey(MINER, 8000, 4000))
    metagraph = Metagraph(1, (neuron(MINER, 0, "127.0.0.1", port),))
    assert announcer.is_missing(metagraph) is missing
    assert not announcer.is_missing(Metagraph(1, ()))
    chain = FakeChain()
    announcer.announce(chain)
    assert chain.served == [("127.0.0.1", 4000)]
