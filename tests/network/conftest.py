"""One network for all the network tests, and clean ground after it."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from localnet import control
from localnet.home import Home
from tests.network.running import Running


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
            item.add_marker(pytest.mark.timeout(240))


@pytest.fixture
def containers() -> Iterator[None]:
    """Afterwards no container is left that was not there before."""
    before = _containers()
    yield
    assert _containers() <= before


def _containers() -> set[str]:
    listed = subprocess.run(["docker", "ps", "-aq"], capture_output=True, text=True, check=True)
    return set(listed.stdout.split())
