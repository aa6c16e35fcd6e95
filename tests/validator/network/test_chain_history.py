"""The chain is read on a grid of blocks; missed ones are read later, if the node has them."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from compute_horde.adapters.chain_port import ChainRefused, ChainUnreachable, Metagraph, Neuron
from localnet.chain.admin import administer
from localnet.chain.testing import RunningChain, running
from tests.peers.keys import MINER, VALIDATOR
from tests.validator.chains import FakeChain, neuron
from tests.validator.conftest import configured
from validator.network import actions, chain_history
from validator.network import chain as opening
from validator.network.history import network_at
from validator.network.models import Fact, ObservedBlocks, Snapshot

pytestmark = pytest.mark.django_db


class PastChain(FakeChain):
    """A chain whose validator's stake is the number of the block, from `oldest` on.

    The miner has its address from block 500 on, and is gone from block 700 on.
    """

    oldest = 0
    finality_lag = 0

    def __init__(self, block: int) -> None:
        super().__init__(block=block)
        self.read: list[int] = []

    def finalized_head(self) -> int:
        return self.block - self.finality_lag

    def metagraph(self, block: int | None = None) -> Metagraph:
        number = self.block if block is None else block
        self.read.append(number)
        if number < self.oldest:
            raise ChainRefused(f"state of block {number} discarded", "not_found")
        if self.problems:
            raise self.problems.pop(0)
        neurons = [neuron(0, "v", total_stake_rao=number, validator_permit=True, port=0)]
        if number < 700:
            neurons.append(self._miner(number))
        return Metagraph(number, tuple(neurons))

    def _miner(self, number: int) -> Neuron:
        return neuron(1, "m", total_stake_rao=1000 + number // 100, port=number // 500 * 8000)


def runs() -> list[tuple[int, int]]:
    rows = ObservedBlocks.objects.filter(stream="chain").order_by("first_block")
    return list(rows.values_list("first_block", "last_block"))


def test_a_new_validator_reads_the_cycle_before_and_knows_it_exactly() -> None:
    chain = PastChain(1005)
    actions.refresh_metagraph(chain)
    assert runs() == [(290, 1000)]
    for block in (290, 489, 500, 699, 700, 1005):
        state, expected = network_at(block), chain.metagraph(block // 10 * 10)
        assert state.known_from == 290
        assert {one.hotkey: one.uid for one in state.neurons.values()} == {
            one.hotkey: one.uid for one in expected.neurons
        }
        assert state.neurons["v"].stake_rao == block // 10 * 10
        assert state.neurons["v"].validator_permit
        if miner := state.neurons.get("m"):
            assert (miner.stake_rao, miner.port) == (1002, 0 if block < 500 else 8000)
    assert network_at(289).known_from is None
    # A miner's stake moved by 0.7 %, less than what is logged.
    assert Fact.objects.filter(kind="stake", subject="m").count() == 1


def test_while_it_runs_it_reads_only_new_blocks() -> None:
    chain = PastChain(1001)
    actions.refresh_metagraph(chain)
    for block, expected in [(1004, [1004]), (1011, [1011, 1010]), (1020, [1020])]:
        chain.block, chain.read = block, []
        actions.refresh_metagraph(chain)
        assert chain.read == expected
    assert runs() == [(280, 1020)]
    assert network_at(1029).known_from == 280
    assert network_at(1030).known_from is None


def test_a_block_that_is_not_final_yet_is_read_later() -> None:
    chain = PastChain(1001)
    chain.finality_lag = 3
    actions.refresh_metagraph(chain)
    assert runs() == [(280, 990)]
    chain.block = 1003
    actions.refresh_metagraph(chain)
    assert runs() == [(280, 1000)]


def test_what_was_missed_for_longer_than_a_cycle_stays_a_gap() -> None:
    chain = PastChain(1000)
    actions.refresh_metagraph(chain)
    chain.block = 2000
    actions.refresh_metagraph(chain)
    assert runs() == [(280, 1000), (1280, 2000)]
    missed = network_at(1279)
    assert (missed.known_from, missed.neurons["v"].stake_rao) == (None, 1000)
    assert network_at(1280).known_from == 1280


def test_a_node_that_discarded_the_past_is_asked_a_few_times_only(
    caplog: pytest.LogCaptureFixture,
) -> None:
    chain = PastChain(1000)
    chain.oldest = 745
    actions.refresh_metagraph(chain)
    assert runs() == [(750, 1000)]
    assert len([block for block in chain.read if block < 745]) < 9
    assert "archive node" in caplog.text


def test_reading_goes_on_where_the_chain_was_lost() -> None:
    chain = PastChain(1000)
    actions.refresh_metagraph(chain)
    chain.block = 1050
    chain.problems = []
    lost = ChainUnreachable("no answer")
    metagraph = chain.metagraph

    def until_1030(block: int | None = None) -> Metagraph:
        if block == 1030:
            raise lost
        return metagraph(block)

    chain.metagraph = until_1030  # type: ignore[method-assign]
    with pytest.raises(ChainUnreachable):
        actions.refresh_metagraph(chain)
    assert runs() == [(280, 1020)]
    assert Snapshot.objects.first().block == 1050
    chain.metagraph = metagraph  # type: ignore[method-assign]
    actions.refresh_metagraph(chain)
    assert runs() == [(280, 1050)]


def test_a_long_past_is_read_in_several_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain_history, "BUDGET_SECONDS", 0.0)
    chain = PastChain(1000)
    for _ in range(3):
        actions.refresh_metagraph(chain)
    assert runs() == [(280, 300)]


def test_an_older_block_is_ignored() -> None:
    now = timezone.now()
    chain = PastChain(1000)
    for block in (1000, 990, 1000):
        chain_history.record_chain(chain.metagraph(block), block, now)
    assert runs() == [(1000, 1000)]
    assert Fact.objects.filter(subject="v", kind="stake").count() == 1


def test_times_of_past_blocks_are_estimated() -> None:
    chain = PastChain(1000)
    actions.refresh_metagraph(chain)
    now = Snapshot.objects.get().taken_at
    address = Fact.objects.get(subject="m", kind="address")
    assert abs(address.began_at - (now - timedelta(seconds=12 * 500))) < timedelta(minutes=1)
    assert (address.from_block, address.until_block) == (500, 700)
    assert abs(address.ended_at - (now - timedelta(seconds=12 * 300))) < timedelta(minutes=1)


@pytest.fixture
def local_chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningChain]:
    # The SDK caches metadata and symbols in the home directory; not in tests.
    monkeypatch.setenv("BITTENSOR_RUNTIME_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("BTCLI_TOKEN_SYMBOLS_CACHE", str(tmp_path / "symbols"))
    with running(netuid=8) as one:
        yield one


def test_a_real_chain_is_read_in_its_past(
    local_chain: RunningChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "config", configured(chain_url=local_chain.url, netuid=8))
    hotkey = MINER.ss58_address
    with administer(local_chain.url) as admin, opening.opened() as chain:
        admin.add_neuron(hotkey, VALIDATOR.ss58_address, 10**12)
        admin.advance(12)
        admin.set_stake(hotkey, 2 * 10**12)
        admin.advance(20)
        actions.refresh_metagraph(chain)
        [(first, last)] = runs()
        assert last == chain.head() // 10 * 10 >= 30
        stakes = {
            block: {one.hotkey: one.total_stake_rao for one in chain.metagraph(block).neurons}
            for block in range(first, last + 1, 10)
        }
    assert len({tuple(one.items()) for one in stakes.values()}) > 1
    for block, expected in stakes.items():
        neurons = network_at(block).neurons
        assert {key: one.stake_rao for key, one in neurons.items()} == expected
