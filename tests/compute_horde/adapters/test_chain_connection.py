"""Runtime upgrades under a running client: noticed at once, or an error with a remedy."""

import logging
from collections.abc import Iterator

import pytest

from compute_horde.adapters.chain import BittensorChain, ChainUnreadable, connect
from compute_horde.adapters.chain_connection import NodeConnection
from localnet.chain.admin import Admin, administer
from localnet.chain.testing import RunningChain, running
from tests.compute_horde.adapters.conftest import NETUID, TAO, key

OWNER = key("owner").ss58_address
UPGRADED = "the chain's runtime was upgraded; loading its metadata"


@pytest.fixture
def node() -> Iterator[RunningChain]:
    with running() as one:
        yield one


@pytest.fixture
def admin(node: RunningChain) -> Iterator[Admin]:
    with administer(node.url) as line:
        line.add_neuron(key("validator").ss58_address, OWNER, TAO)
        line.add_neuron(key("miner").ss58_address, OWNER)
        yield line


@pytest.fixture
def ours(admin: Admin, node: RunningChain) -> Iterator[BittensorChain]:
    with connect(node.url, NETUID, key("validator")) as chain:
        yield chain


def test_an_upgrade_is_noticed_by_the_next_call(
    admin: Admin, ours: BittensorChain, caplog: pytest.LogCaptureFixture
) -> None:
    before = ours.spec_version()
    with caplog.at_level(logging.INFO):
        upgraded = admin.upgrade_runtime("readable")
        assert ours.head() == admin.head()
    assert [record.getMessage() for record in caplog.records].count(UPGRADED) == 1
    assert ours.spec_version() == upgraded > before
    assert len(ours.metagraph().neurons) == 2


def test_weights_are_signed_for_the_new_runtime(admin: Admin, ours: BittensorChain) -> None:
    admin.set_hyperparameter("weights_rate_limit", 0)
    ours.set_weights({1: 1})
    admin.upgrade_runtime("readable")
    admin.advance()
    accepted = ours.set_weights({0: 1, 1: 1})
    assert accepted.block == admin.head()
    assert ours.weights(0) == {0: 65535, 1: 65535}


@pytest.mark.parametrize("kind", ["readable", "metagraph"])
def test_in_the_block_of_an_upgrade_no_weights_are_sent(
    admin: Admin, ours: BittensorChain, kind: str
) -> None:
    """The SDK decodes that block by the runtime before, whatever the new one looks like."""
    version = admin.upgrade_runtime(kind)
    with pytest.raises(ChainUnreadable, match=f"runtime {version} in its newest block"):
        ours.set_weights({1: 1})
    assert ours.weights(0) == {}


@pytest.mark.parametrize("kind", ["metagraph", "metadata"])
def test_what_cannot_be_read_is_an_error_with_versions_and_remedy(
    admin: Admin, ours: BittensorChain, kind: str
) -> None:
    assert len(ours.metagraph().neurons) == 2
    version = admin.upgrade_runtime(kind)
    admin.advance()
    for call in (ours.metagraph, lambda: ours.set_weights({1: 1})):
        with pytest.raises(ChainUnreadable) as raised:
            call()
        assert f"runtime {version}" in str(raised.value)
        assert "the Bittensor SDK 11." in str(raised.value)
        assert "install an SDK release made for this runtime" in str(raised.value)
    assert admin.head() == 4, "nothing was signed"


def test_what_does_not_depend_on_the_metagraph_is_read_all_the_same(
    admin: Admin, ours: BittensorChain
) -> None:
    admin.upgrade_runtime("metagraph")
    admin.advance()
    assert ours.head() == admin.head()
    assert ours.epoch_schedule().tempo == 10


def test_unknown_metadata_is_an_error_at_connecting_and_gone_after_the_next_upgrade(
    admin: Admin, node: RunningChain
) -> None:
    admin.upgrade_runtime("metadata")
    admin.advance()
    with pytest.raises(ChainUnreadable), connect(node.url, NETUID):
        pass
    admin.upgrade_runtime("readable")
    admin.advance()
    with connect(node.url, NETUID) as chain:
        assert len(chain.metagraph().neurons) == 2


def test_a_connection_survives_a_runtime_that_it_cannot_read(
    admin: Admin, ours: BittensorChain
) -> None:
    admin.upgrade_runtime("metadata")
    admin.advance()
    with pytest.raises(ChainUnreadable):
        ours.metagraph()
    admin.upgrade_runtime("readable")
    admin.advance()
    assert len(ours.metagraph().neurons) == 2


def test_the_networks_own_fallbacks_are_kept() -> None:
    named = NodeConnection("finney").substrate
    assert named.fallback_endpoints
    assert named.endpoint not in named.fallback_endpoints
    assert NodeConnection("ws://127.0.0.1:1").substrate.fallback_endpoints == []
