"""A network of a few processes is started and stopped."""

import os
import signal
import subprocess
import time

import psutil
import psycopg
import pytest

from localnet import network_lifecycle, postgres
from localnet.network_dir import NetworkDir
from localnet.supervisor import orphans, state_file
from localnet.testing import SERVERS


@pytest.fixture
def network_dir(tmp_path):
    network_dir = NetworkDir.at(tmp_path / "network")
    yield network_dir
    network_lifecycle.down(network_dir)
    postgres.remove(network_dir)


def up(network_dir, only=SERVERS):
    lines = []
    network_lifecycle.up(network_dir, only=only, on_progress=lines.append)
    return lines


def entry(network_dir, name):
    return next(entry for entry in state_file.read(network_dir) if entry.name == name)


def alive(pid):
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def eventually(condition, within_seconds=30):
    deadline = time.monotonic() + within_seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_up_returns_when_all_is_ready_and_down_leaves_nothing_running(network_dir):
    assert sorted(up(network_dir)) == ["postgres ready", "valkey ready"]
    with psycopg.connect(postgres.url(network_dir, "facilitator")) as database:
        assert database.execute("SELECT 1").fetchone() == (1,)
    pids = [one.pid for one in state_file.read(network_dir)]
    assert all(map(alive, pids))
    assert network_lifecycle.down(network_dir)
    assert not any(map(alive, pids))
    assert state_file.supervisor(network_dir) is None
    assert not network_lifecycle.down(network_dir)


def test_data_and_ports_are_kept_over_down_and_up(network_dir):
    up(network_dir)
    url = postgres.url(network_dir, "miner")
    with psycopg.connect(url) as database:
        database.execute("CREATE TABLE kept (id int)")
    lines = network_dir.env_file.read_text()
    network_lifecycle.down(network_dir)
    up(network_dir)
    assert network_dir.env_file.read_text() == lines
    with psycopg.connect(url) as database:
        assert database.execute("SELECT count(*) FROM kept").fetchone() == (0,)


def test_up_on_a_network_that_is_up_changes_nothing(network_dir):
    up(network_dir)
    before = state_file.supervisor(network_dir).pid
    assert up(network_dir) == ["the network is already up"]
    assert state_file.supervisor(network_dir).pid == before


def test_a_killed_process_is_restarted_and_counted_in_the_state(network_dir):
    up(network_dir)
    victim = entry(network_dir, "valkey").pid
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: entry(network_dir, "valkey").restarts == 1)
    eventually(lambda: entry(network_dir, "valkey").state == "ready")
    assert entry(network_dir, "valkey").pid != victim
    assert entry(network_dir, "postgres").restarts == 0


def test_processes_do_not_outlive_a_killed_supervisor(network_dir):
    up(network_dir)
    pids = [one.pid for one in state_file.read(network_dir)]
    state_file.supervisor(network_dir).kill()
    eventually(lambda: not any(map(alive, pids)))
    assert state_file.supervisor(network_dir) is None
    assert sorted(up(network_dir)) == ["postgres ready", "valkey ready"]


def sleepers(path: str) -> list[psutil.Process]:
    """Sleeping processes with this path in their environment."""
    # What ends while it is looked at has no name and no environment.
    found = psutil.process_iter(["name", "environ"])
    named = [one for one in found if one.info["name"] == "sleep"]
    return [
        one for one in named if (one.info["environ"] or {}).get(orphans.NETWORK_VARIABLE) == path
    ]


def test_orphans_of_a_killed_supervisor_are_ended_by_the_next_up(network_dir):
    elsewhere = str(network_dir.path.with_name("elsewhere"))
    for path in (str(network_dir.path), elsewhere):
        subprocess.run(
            ["setsid", "--fork", "sleep", "600"],
            env=os.environ | {orphans.NETWORK_VARIABLE: path},
            check=True,
        )
    eventually(lambda: sleepers(str(network_dir.path)) and sleepers(elsewhere))
    assert up(network_dir, only=["valkey"]).count("ended the orphaned process sleep") == 1
    (other,) = sleepers(elsewhere)
    other.kill()


def test_the_error_of_a_failed_start_has_the_end_of_its_log(network_dir):
    (network_dir.path / "valkey").mkdir()
    (network_dir.path / "valkey" / "appendonlydir").write_text("in the way")
    with pytest.raises(
        network_lifecycle.NotUpError, match=r"(?s)valkey: .*appendonlydir.*valkey\.log"
    ):
        up(network_dir)
    assert state_file.supervisor(network_dir) is None
    assert not alive(entry(network_dir, "postgres").pid or 0)
