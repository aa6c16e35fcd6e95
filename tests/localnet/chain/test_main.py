"""The chain as a process: started, killed, started again."""

import subprocess
import sys
from pathlib import Path

import pytest

from compute_horde.errors import ChainError
from localnet.chain.admin import administer
from localnet.chain.testing import running
from tests.localnet.chain.workbench import OWNER, key

HOTKEY = key("a").ss58_address


def test_what_was_announced_survives_a_kill(tmp_path: Path) -> None:
    state = tmp_path / "chain"
    with running(state=state, block_seconds=0.02) as first, administer(first.url) as admin:
        assert admin.add_neuron(HOTKEY, OWNER, 5) == 0
        head = admin.advance(20)
        hashes = [admin.call("chain_getBlockHash", number) for number in range(head + 1)]
        first.kill()
    with running(state=state, block_seconds=0.02) as second, administer(second.url) as admin:
        assert admin.head() >= head
        again = [admin.call("chain_getBlockHash", number) for number in range(head + 1)]
        assert again == hashes
        with pytest.raises(ChainError, match="HotKeyAlreadyRegisteredInSubNet"):
            admin.add_neuron(HOTKEY, OWNER)


def test_sigterm_stops_it_cleanly_and_loses_nothing(tmp_path: Path) -> None:
    state = tmp_path / "chain"
    with running(state=state) as first, administer(first.url) as admin:
        head = admin.advance(7)
        assert first.stop() == 0
    with running(state=state, tempo=99) as second, administer(second.url) as admin:
        assert admin.head() == head


def test_two_processes_do_not_share_a_state_file(tmp_path: Path) -> None:
    state = tmp_path / "chain"
    with running(state=state):
        command = [sys.executable, "-m", "localnet.chain", "--port", "0", "--state", str(state)]
        second = subprocess.run(
            [*command, "--block-seconds", "0"], capture_output=True, text=True, timeout=20
        )
    assert second.returncode == 1
    assert "another process runs the chain" in second.stderr


def test_a_port_in_use_is_one_line_of_log(tmp_path: Path) -> None:
    with running() as first:
        port = first.url.rsplit(":", 1)[1]
        command = [sys.executable, "-m", "localnet.chain", "--port", port]
        second = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert second.returncode == 1
    assert "address already in use" in second.stderr
    assert "Traceback" not in second.stderr
