"""A network of a few processes, brought up and down from the outside."""

import os
import signal
import subprocess
import time

import psutil
import psycopg
import pytest

from localnet import control, leftovers, postgres, state
from localnet.home import Home
from localnet.testing import SERVERS


@pytest.fixture
def home(tmp_path):
    place = Home.at(tmp_path / "home")
    yield place
    control.down(place)
    postgres.remove(place)


def up(home, only=SERVERS):
    said = []
    control.up(home, only=only, tell=said.append)
    return said


def entry(home, name):
    return next(entry for entry in state.read(home) if entry.name == name)


def alive(pid):
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def eventually(claim, within_seconds=10):
    deadline = time.monotonic() + within_seconds
    while not claim():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_up_returns_when_all_is_ready_and_down_leaves_nothing(home):
    assert sorted(up(home)) == ["postgres ready", "valkey ready"]
    with psycopg.connect(postgres.url(home, "facilitator")) as database:
        assert database.execute("SELECT 1").fetchone() == (1,)
    pids = [one.pid for one in state.read(home)]
    assert all(map(alive, pids))
    assert control.down(home)
    assert not any(map(alive, pids))
    assert state.supervisor(home) is None
    assert not control.down(home)


def test_what_was_written_is_there_after_down_and_up_on_the_same_ports(home):
    up(home)
    url = postgres.url(home, "miner")
    with psycopg.connect(url) as database:
        database.execute("CREATE TABLE kept (id int)")
    lines = home.env_file.read_text()
    control.down(home)
    up(home)
    assert home.env_file.read_text() == lines
    with psycopg.connect(url) as database:
        assert database.execute("SELECT count(*) FROM kept").fetchone() == (0,)


def test_up_on_a_network_that_is_up_changes_nothing(home):
    up(home)
    before = state.supervisor(home).pid
    assert up(home) == ["already up"]
    assert state.supervisor(home).pid == before


def test_a_killed_process_is_restarted_and_told_in_the_state(home):
    up(home)
    victim = entry(home, "valkey").pid
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: entry(home, "valkey").restarts == 1, within_seconds=2)
    eventually(lambda: entry(home, "valkey").state == "ready", within_seconds=2)
    assert entry(home, "valkey").pid != victim
    assert entry(home, "postgres").restarts == 0


def test_processes_do_not_outlive_a_killed_supervisor(home):
    up(home)
    pids = [one.pid for one in state.read(home)]
    state.supervisor(home).kill()
    eventually(lambda: not any(map(alive, pids)))
    assert state.supervisor(home) is None
    assert sorted(up(home)) == ["postgres ready", "valkey ready"]


def sleepers(place: str) -> list[psutil.Process]:
    """Those with this mark that have become what they were started as."""
    named = [one for one in psutil.process_iter() if one.name() == "sleep"]
    return [one for one in named if one.environ().get(leftovers.MARK) == place]


def test_what_a_killed_supervisor_left_behind_is_ended_by_the_next_up(home):
    elsewhere = str(home.path.with_name("elsewhere"))
    for place in (str(home.path), elsewhere):
        subprocess.run(
            ["setsid", "--fork", "sleep", "600"],
            env=os.environ | {leftovers.MARK: place},
            check=True,
        )
    eventually(lambda: sleepers(str(home.path)) and sleepers(elsewhere))
    assert up(home, only=["valkey"]).count("ended a leftover sleep") == 1
    (stranger,) = sleepers(elsewhere)
    stranger.kill()


def test_one_that_cannot_start_is_named_with_the_end_of_its_log(home):
    (home.path / "valkey").mkdir()
    (home.path / "valkey" / "appendonlydir").write_text("in the way")
    with pytest.raises(control.NotUpError, match=r"(?s)valkey: .*appendonlydir.*valkey\.log"):
        up(home)
    assert state.supervisor(home) is None
    assert not alive(entry(home, "postgres").pid or 0)
