"""Cycle after cycle miners are measured and paid on the chain; a liar is not."""

import json
from collections.abc import Iterator

import pytest

from compute_horde.adapters.chain import connect
from localnet import network_lifecycle
from localnet.network_dir import NetworkDir
from localnet.process_table import NETUID
from tests.network.running import Running, until

CYCLES = 3
TEMPO = 11
SETTINGS = {
    "chain": {"TEMPO": TEMPO},
    "miner": {"EXECUTORS": '{"always_on.test": 2}'},
    "miner-2": {
        "EXECUTORS": '{"always_on.test": 2}',
        "EXECUTOR_MANAGER": "tests.network.liar:LyingManager",
    },
}


@pytest.fixture(scope="module")
def weighing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A network of short cycles with an honest miner and a lying one."""
    home = NetworkDir.at(tmp_path_factory.mktemp("weighing"))
    (home.path / "settings.json").write_text(json.dumps(SETTINGS))
    network_lifecycle.up(home, miners=2, only=[], on_progress=print)
    yield Running(home)
    network_lifecycle.down(home)


async def test_three_cycles_pay_the_honest_miner_and_never_the_liar(weighing: Running) -> None:
    published = "SELECT weights FROM weights_weightsset WHERE state = 'published'"
    await until(
        lambda: len(weighing.rows("validator", published)) >= CYCLES,
        f"{CYCLES} cycles with weights",
        seconds=200,
    )
    honest = weighing.env["MINER_HOTKEY"]
    assert {tuple(row[0]) for row in weighing.rows("validator", published)} == {(honest,)}

    with connect(weighing.env["CHAIN_URL"], NETUID) as chain:
        uids = {neuron.hotkey: neuron.uid for neuron in chain.metagraph().neurons}
        set_on_chain = chain.weights(uids[weighing.env["VALIDATOR_HOTKEY"]])
    assert len(uids) == 3
    assert set_on_chain == {uids[honest]: 65535}

    answered = "SELECT hotkey = %s, max(points) FROM synthetic_puzzle GROUP BY 1 ORDER BY 1"
    assert weighing.rows("validator", answered, honest) == [(False, 0), (True, 1)]
