"""A chain as a process for tests: ready when it is there, gone when it is left."""

from pathlib import Path

import pytest

from localnet.chain.admin import administer
from localnet.chain.runtime import LocalRuntime
from localnet.chain.testing import running


def test_a_chain_is_ready_at_once_and_ends_with_its_block() -> None:
    with running(netuid=3, tempo=20) as chain:
        with administer(chain.url) as admin:
            assert admin.advance(2) == 2
            tempo = admin.call("state_getStorage", tempo_key(3))
        assert chain.process.poll() is None
    assert tempo == "0x1400"
    assert chain.process.returncode == -9


def tempo_key(netuid: int) -> str:
    return "0x" + LocalRuntime(1000).key("SubtensorModule", "Tempo", (netuid,)).hex()


def test_a_chain_ends_with_a_test_that_fails() -> None:
    with pytest.raises(ZeroDivisionError), running() as chain:
        raise ZeroDivisionError
    assert chain.process.returncode == -9


def test_a_chain_is_stopped_or_killed() -> None:
    with running() as stopped, running() as killed:
        assert stopped.stop() == 0
        killed.kill()
        assert killed.process.returncode == -9


def test_a_chain_that_does_not_start_is_an_error(tmp_path: Path) -> None:
    state = tmp_path / "chain"
    with (
        running(state=state),
        pytest.raises(RuntimeError, match=r"(?s)ended with code 1: .*another process"),
    ):
        running(state=state).__enter__()
