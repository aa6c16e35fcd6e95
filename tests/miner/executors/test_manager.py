"""Finding the class that starts executors."""

import pytest

from compute_horde.errors import ConfigurationError
from miner.executors import manager
from miner.executors.containers import DockerManager
from miner.executors.local import LocalManager
from tests.miner.peers import ScriptedManager


def test_two_come_with_the_miner_and_others_are_found_by_their_path():
    assert manager.load("local") is LocalManager
    assert manager.load("docker") is DockerManager
    assert manager.load("tests.miner.peers:ScriptedManager") is ScriptedManager


@pytest.mark.parametrize("path", ["", "nowhere", "no.module:X", "json:NoClass", "json:loads"])
def test_a_path_that_leads_nowhere_is_the_operators_mistake(path):
    with pytest.raises(ConfigurationError, match="MINER_EXECUTOR_MANAGER"):
        manager.load(path)


def test_the_name_of_an_executor_tells_nothing_of_its_token():
    name = manager.executor_id("token")
    assert len(name) == 16
    assert name != manager.executor_id("token2")
