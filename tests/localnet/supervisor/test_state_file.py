"""The state file and the lock of a network."""

import psutil

from localnet.network_dir import NetworkDir
from localnet.supervisor import state_file
from localnet.supervisor.supervised_process import ProcessSpec, SupervisedProcess


def test_a_waiting_process_has_no_pid(tmp_path):
    network_dir = NetworkDir.at(tmp_path)
    supervised = SupervisedProcess(
        ProcessSpec("miner", ["true"]), network_dir.log("miner"), lambda supervised: None
    )
    state_file.write(network_dir, [supervised])
    (entry,) = state_file.read(network_dir)
    assert (entry.name, entry.state, entry.pid, entry.restarts) == ("miner", "waiting", None, 0)
    assert entry.uptime_seconds is None
    assert entry.log == str(network_dir.log("miner"))


def test_before_the_first_start_there_is_no_state(tmp_path):
    assert state_file.read(NetworkDir.at(tmp_path)) == []
    assert state_file.supervisor(NetworkDir.at(tmp_path)) is None


def test_the_holder_of_the_lock_is_the_supervisor(tmp_path):
    network_dir = NetworkDir.at(tmp_path)
    with state_file.lock(network_dir):
        state_file.claim(network_dir, psutil.Process().pid)
        assert state_file.supervisor(network_dir) == psutil.Process()
    assert state_file.supervisor(network_dir) is None
