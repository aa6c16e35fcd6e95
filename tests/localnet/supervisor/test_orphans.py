"""Processes of a network that has no supervisor are found and ended."""

import json
import os
import subprocess

import psutil

from localnet.network_dir import NetworkDir
from localnet.supervisor import orphans


def orphan(**env):
    """Start a sleeping process without a parent; its pid."""
    script = "sleep 600 >/dev/null 2>&1 & echo $!"
    done = subprocess.run(
        ["sh", "-c", script], env=os.environ | env, stdout=subprocess.PIPE, text=True
    )
    return int(done.stdout)


def has_ended(pid):
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def write_state(network_dir, pid, created):
    network_dir.state_file.write_text(json.dumps({"processes": [{"pid": pid, "created": created}]}))


def test_a_process_with_the_variable_is_ended(tmp_path):
    network_dir = NetworkDir.at(tmp_path)
    pid = orphan(**{orphans.NETWORK_VARIABLE: str(network_dir.path)})
    assert orphans.terminate(network_dir) == ["sleep"]
    assert has_ended(pid)


def test_a_process_in_the_state_file_is_ended_without_the_variable(tmp_path):
    network_dir, pid = NetworkDir.at(tmp_path), orphan()
    write_state(network_dir, pid, psutil.Process(pid).create_time())
    assert orphans.terminate(network_dir) == ["sleep"]
    assert has_ended(pid)


def test_another_process_with_a_reused_pid_is_left_alone(tmp_path):
    network_dir, pid = NetworkDir.at(tmp_path), orphan()
    write_state(network_dir, pid, psutil.Process(pid).create_time() - 1000)
    assert orphans.terminate(network_dir) == []
    assert not has_ended(pid)
    psutil.Process(pid).kill()


def test_the_calling_process_is_never_ended(tmp_path, monkeypatch):
    monkeypatch.setenv(orphans.NETWORK_VARIABLE, str(tmp_path.resolve()))
    assert orphans.terminate(NetworkDir.at(tmp_path)) == []
