"""A local chain for the tests of the chain's adapter."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from localnet.chain.admin import Admin, administer
from localnet.chain.testing import RunningChain, running


@pytest.fixture(scope="session", autouse=True)
def sdk_caches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The SDK caches metadata and symbols in the home directory; not in tests."""
    folder: Path = tmp_path_factory.mktemp("sdk")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BITTENSOR_RUNTIME_CACHE_DIR", str(folder))
        patch.setenv("BTCLI_TOKEN_SYMBOLS_CACHE", str(folder / "symbols"))
        yield


@pytest.fixture(scope="module")
def local_chain() -> Iterator[RunningChain]:
    with running() as chain:
        yield chain


@pytest.fixture(scope="module")
def admin(local_chain: RunningChain) -> Iterator[Admin]:
    with administer(local_chain.url) as line:
        yield line
