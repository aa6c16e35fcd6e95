"""One network for all the network tests, and clean ground after it."""

import json
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psutil
import pytest

from localnet import network_lifecycle
from localnet.identities import ensure_identity
from localnet.network_dir import NetworkDir
from tests.network.running import FILLED_BYTES, HUB_TOKEN, TINY_DISK_BYTES, Running

LEFT_SECONDS = 60
SERVERS = ("facilitator", "validator-listen", "miner", "miner-2")
SETTINGS = {
    # Tests kill the same process again and again.
    "supervisor": {"RESTART_WITHIN_SECONDS": "1"},
    "validator": {
        "INTERVAL_SECONDS": "1",
        "REFRESH_SECONDS": "4",
        "TICK_SECONDS": "3",
        # One of the tests proves a false result of a miner that the others need.
        "CHEAT_EXCLUSION_SECONDS": "0",
        "CROSS_VALIDATION_SHARE": "1",
        "CROSS_VALIDATION_SECONDS": "2",
    },
    "miner-trusted": {"EXECUTORS": '{"always_on.test": 1}'},
    "miner-2": {
        "EXECUTORS": '{"always_on.cpu.8c.16gb": 1, "always_on.gpu-24gb": 1}',
        "EXECUTOR_MANAGER": "tests.network.odd:OddManager",
    },
}
# What jobs may fill is little enough here to be reached in a moment.
LIMITS = {
    "EXECUTOR_DISK_MAX_BYTES": str(FILLED_BYTES),
    "EXECUTOR_UNPACKED_MAX_BYTES": str(FILLED_BYTES),
    "EXECUTOR_HUB_TOKEN": HUB_TOKEN,
}


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The usual network, a trusted miner, and a second miner with odd executors on a tiny disk."""
    home = NetworkDir.at(tmp_path_factory.mktemp("network"))
    (home.path / "settings.json").write_text(json.dumps(SETTINGS))
    with tiny_disk(home.path / "miner-2-work"):
        with pytest.MonkeyPatch.context() as around:
            hub = {"EXECUTOR_HUB_URL": f"http://127.0.0.1:{home.port('hub')}"}
            for name, value in (LIMITS | hub).items():
                around.setenv(name, value)
            network_lifecycle.up(home, miners=2, has_trusted_miner=True, on_progress=print)
        with closing(Running(home)) as running:
            yield running
        network_lifecycle.down(home)


@contextmanager
def tiny_disk(path: Path) -> Iterator[None]:
    """A disk of a few MB at `path`, where we may mount one."""
    path.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={TINY_DISK_BYTES},mode=0711", "tmpfs", path]
    mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    try:
        yield
    finally:
        if mounted:
            subprocess.run(["umount", "-l", path], check=True)


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
    """Afterwards no container of this network's miners is left."""
    yield
    give_up = time.monotonic() + LEFT_SECONDS
    for miner in ("miner", "miner-2"):
        owner = f"label=compute_horde.owner={ensure_identity(network.home, miner).hotkey}"
        left = ["docker", "ps", "-aq", "--filter", owner]
        while found := subprocess.run(left, capture_output=True, text=True, check=True).stdout:
            assert time.monotonic() < give_up, f"containers of {miner} are left: {found}"
            time.sleep(0.1)


@pytest.fixture
def steady(network: Running) -> Iterator[None]:
    """No process of the network ends, whatever it hears."""
    before = [network.pid(name) for name in SERVERS]
    yield
    assert [network.pid(name) for name in SERVERS] == before
    assert all(psutil.pid_exists(pid) for pid in before)
