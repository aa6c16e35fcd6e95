"""A connection to the configured chain, for one task."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from bittensor_core import Keypair

from compute_horde.adapters.chain_port import ChainUnreachable, NotRegistered
from localnet.chain.testing import RunningChain, running
from tests.peers.keys import VALIDATOR
from tests.servers import free_port
from tests.validator.conftest import configured
from validator.network import chain


@pytest.fixture(autouse=True)
def _caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK caches metadata and symbols in the home directory; not in tests."""
    monkeypatch.setenv("BITTENSOR_RUNTIME_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("BTCLI_TOKEN_SYMBOLS_CACHE", str(tmp_path / "symbols"))


def test_nodes_are_given_by_address_or_by_the_name_of_a_network() -> None:
    assert chain.endpoints("ws://a:1, wss://b/secret") == ["ws://a:1", "wss://b/secret"]
    named, given = chain.endpoints("finney,ws://a:1")
    assert named.startswith("wss://")
    assert given == "ws://a:1"


@pytest.fixture
def local_chain() -> Iterator[RunningChain]:
    with running(netuid=8) as one:
        yield one


def test_the_configured_subnet_is_read_and_written_with_our_hotkey(
    local_chain: RunningChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = configured(chain_url=local_chain.url, netuid=8)
    monkeypatch.setattr(chain, "config", ours)
    with chain.opened() as opened:
        assert opened.hyperparameters().tempo == 10
        hotkeys = {neuron.hotkey for neuron in opened.metagraph().neurons}
        assert VALIDATOR.ss58_address not in hotkeys
        with pytest.raises(NotRegistered):
            opened.set_weights({0: Decimal(1)})
    assert Keypair(ours.hotkey.ss58_address).ss58_address == VALIDATOR.ss58_address


def test_a_chain_that_is_away_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    away = f"ws://127.0.0.1:{free_port()}"
    monkeypatch.setattr(chain, "config", configured(chain_url=away))
    with pytest.raises(ChainUnreachable), chain.opened() as opened:
        opened.head()
