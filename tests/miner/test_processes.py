"""The processes of the miner need what they use, and the executor manager is checked."""

import subprocess
import sys

import pytest
from bittensor_core import serialized_keypair_to_keyfile_data

from compute_horde.errors import ConfigurationError
from miner import processes
from miner.config import config
from tests.miner.conftest import MINER, SETTINGS


@pytest.fixture
def configured(monkeypatch, tmp_path):
    """Gives the miner's processes other settings."""
    hotkey_file = tmp_path / "hotkey"
    hotkey_file.write_bytes(bytes(serialized_keypair_to_keyfile_data(MINER)))

    def configure(**changes):
        update = SETTINGS | {"hotkey_file": hotkey_file} | changes
        monkeypatch.setattr(processes, "config", config.model_copy(update=update))

    return configure


def test_an_unknown_command_is_answered_with_the_known_ones():
    command = [sys.executable, "-m", "miner", "dance"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 2
    assert "web|keep|migrate|seed|evict|main-hotkey|earnings|health|manage" in answer.stderr


def test_each_process_needs_what_it_uses(configured):
    needs = {one.name: [need.name for need in one.needs] for one in processes.SERVICE.processes}
    assert needs["web"] == ["port", "port", "engine", "hotkey", "database"]
    assert needs["keep"][:2] == ["hotkey", "database"]


def test_the_chain_is_needed_where_it_is_used(configured):
    configured(chain_url=None)
    assert processes._chain() == ()
    configured(chain_url="ws://127.0.0.1:1")
    assert [need.name for need in processes._chain()] == ["chain"]


def test_only_an_announced_miner_has_to_be_registered(configured, monkeypatch):
    asked = []
    monkeypatch.setattr(
        processes, "chain", lambda *_, registered: asked.append(registered) or "chain"
    )
    for changes in ({}, {"serving": False}, {"trusted": True}):
        configured(chain_url="ws://127.0.0.1:1", **changes)
        processes._chain()
    assert asked == [True, False, False]


async def test_the_executor_manager_of_the_settings_is_checked(configured):
    configured(executor_manager="tests.miner.test_processes:NoSuchManager")
    with pytest.raises(ConfigurationError, match="NoSuchManager"):
        await processes._check_executor_manager()
    configured(executor_manager="docker", docker_host="unix:///no/such/socket")
    with pytest.raises(ConfigurationError, match="/no/such/socket"):
        await processes._check_executor_manager()
    configured()
    assert await processes._check_executor_manager() is None
