"""Fixtures: a chain in the test's process and one in a process of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from localnet.chain.runtime import LocalRuntime
from localnet.chain.testing import RunningChain, running
from tests.localnet.chain.workbench import Workbench


@pytest.fixture(scope="session", autouse=True)
def sdk_caches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the SDK's caches of metadata and symbols out of the home directory."""
    folder: Path = tmp_path_factory.mktemp("sdk")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BITTENSOR_RUNTIME_CACHE_DIR", str(folder))
        patch.setenv("BTCLI_TOKEN_SYMBOLS_CACHE", str(folder / "symbols"))
        yield


@pytest.fixture(scope="session")
def runtime() -> LocalRuntime:
    return LocalRuntime(1000)


@pytest.fixture
def bench(runtime: LocalRuntime) -> Workbench:
    return Workbench(runtime)


@pytest.fixture(scope="module")
def local_chain() -> Iterator[RunningChain]:
    with running() as chain:
        yield chain
