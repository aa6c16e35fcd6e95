"""One network for all the network tests, and clean ground after it."""

import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from localnet import control
from localnet.home import Home
from tests.network.running import Running

LEFT_SECONDS = 15


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    home = Home.at(tmp_path_factory.mktemp("network"))
    control.up(home, miners=1, only=[], tell=print)
    yield Running(home)
    control.down(home)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.network)
            item.add_marker(pytest.mark.timeout(300))


@pytest.fixture(autouse=True)
async def closed_clients(request: pytest.FixtureRequest) -> AsyncIterator[None]:
    """No connection outlives the test that opened it."""
    yield
    if "network" in request.fixturenames:
        clients = request.getfixturevalue("network").clients
        while clients:
            await clients.pop().aclose()


@pytest.fixture
def containers(network: Running) -> Iterator[None]:
    """Afterwards no container of this network's miner is left."""
    yield
    owner = f"label=compute_horde.owner={network.env['MINER_HOTKEY']}"
    left = ["docker", "ps", "-aq", "--filter", owner]
    give_up = time.monotonic() + LEFT_SECONDS
    while found := subprocess.run(left, capture_output=True, text=True, check=True).stdout:
        assert time.monotonic() < give_up, f"containers are left: {found}"
        time.sleep(0.1)
