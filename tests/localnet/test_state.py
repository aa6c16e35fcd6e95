"""What the state file tells."""

import psutil

from localnet import state
from localnet.home import Home
from localnet.keeper import Keeper, Process


def test_a_process_that_waits_is_told_without_pid(tmp_path):
    home = Home.at(tmp_path)
    keeper = Keeper(Process("miner", ["true"]), home.log("miner"), lambda keeper: None)
    state.write(home, [keeper])
    (entry,) = state.read(home)
    assert (entry.name, entry.state, entry.pid, entry.restarts) == ("miner", "waiting", None, 0)
    assert entry.uptime_seconds is None
    assert entry.log == str(home.log("miner"))


def test_nothing_was_ever_started(tmp_path):
    assert state.read(Home.at(tmp_path)) == []
    assert state.supervisor(Home.at(tmp_path)) is None


def test_whoever_holds_the_lock_is_the_supervisor(tmp_path):
    home = Home.at(tmp_path)
    with state.lock(home):
        state.claim(home, psutil.Process().pid)
        assert state.supervisor(home) == psutil.Process()
    assert state.supervisor(home) is None
