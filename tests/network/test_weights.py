"""Cycle after cycle miners are measured and paid on the chain; a liar is not."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing

import pytest

from compute_horde.adapters.chain import connect
from localnet import network_lifecycle
from localnet.network_dir import NetworkDir
from localnet.process_table import NETUID, Network, service_env
from tests.network.running import Running, until

CYCLES = 2
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
    with closing(Running(home)) as running:
        yield running
    network_lifecycle.down(home)


def command(network: Running, *words: str, text: str = "") -> str:
    """What a command of the validator prints."""
    env = os.environ | service_env(Network(network.home, miners=2), "validator")
    done = subprocess.run(
        [sys.executable, "-m", "validator", *words],
        env=env,
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


async def test_cycles_pay_the_honest_miner_and_never_the_liar(weighing: Running) -> None:
    published = "SELECT weights FROM weights_weightsset WHERE landing = 'landed'"
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

    landed = "SELECT earned_in FROM weights_weightsset WHERE landing = 'landed'"
    liar = next(
        hotkey for hotkey in uids if hotkey not in (honest, weighing.env["VALIDATOR_HOTKEY"])
    )
    explained = [
        command(weighing, "explain", liar, "--cycle", str(cycle))
        for (cycle,) in weighing.rows("validator", landed)
    ]
    assert all("share of all weights: 0" in text for text in explained)
    wrong = "synthetic jobs answered wrongly [always_on.test]"
    assert any(wrong in text for text in explained), explained
    replayed = json.loads(command(weighing, "replay", "-", text=command(weighing, "export")))
    assert {one["uid"]: one["u16"] for one in replayed if one["u16"]} == set_on_chain

    answered = "SELECT hotkey = %s, max(points) FROM synthetic_puzzle GROUP BY 1 ORDER BY 1"
    assert weighing.rows("validator", answered, honest) == [(False, 0), (True, 1)]
