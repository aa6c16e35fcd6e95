"""Loading the manager class."""

import pytest

from compute_horde.errors import ConfigurationError
from miner.executors import manager
from miner.executors.docker_manager import DockerManager
from miner.executors.local_manager import LocalManager
from tests.miner.peers import ScriptedManager


def test_managers_are_found_by_their_name_or_path():
    assert manager.load("local") is LocalManager
    assert manager.load("docker") is DockerManager
    assert manager.load("tests.miner.peers:ScriptedManager") is ScriptedManager


@pytest.mark.parametrize("path", ["", "nowhere", "no.module:X", "json:NoClass", "json:loads"])
def test_a_wrong_path_is_a_configuration_error(path):
    with pytest.raises(ConfigurationError, match="MINER_EXECUTOR_MANAGER"):
        manager.load(path)


def test_the_name_of_an_executor_does_not_reveal_its_token():
    name = manager.executor_id("token")
    assert len(name) == 16
    assert name != manager.executor_id("token2")
