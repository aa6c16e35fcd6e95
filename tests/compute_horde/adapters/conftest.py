"""A local chain for the tests of the chain's adapter."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from bittensor_core import Keypair

from compute_horde.adapters.chain import BittensorChain, connect
from localnet.chain.admin import Admin, administer
from localnet.chain.testing import RunningChain, running

NETUID = 12
TAO = 10**9

Open = Callable[[str], BittensorChain]


def key(name: str) -> Keypair:
    return Keypair.create_from_uri(f"//{name}")


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


@pytest.fixture(scope="module")
def chain(local_chain: RunningChain) -> Iterator[BittensorChain]:
    with connect(local_chain.url, NETUID) as reader:
        yield reader


@pytest.fixture
def signed_by(local_chain: RunningChain) -> Iterator[Open]:
    with ExitStack() as opened:
        yield lambda name: opened.enter_context(connect(local_chain.url, NETUID, key(name)))
