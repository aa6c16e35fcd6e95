"""Which processes belong to a home that has no supervisor."""

import json
import os
import subprocess

import psutil

from localnet import leftovers
from localnet.home import Home


def orphan(**env):
    """A sleeping process that is nobody's child; its pid."""
    script = "sleep 600 >/dev/null 2>&1 & echo $!"
    done = subprocess.run(
        ["sh", "-c", script], env=os.environ | env, stdout=subprocess.PIPE, text=True
    )
    return int(done.stdout)


def gone(pid):
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def note(home, pid, created):
    home.state_file.write_text(json.dumps({"processes": [{"pid": pid, "created": created}]}))


def test_a_marked_process_is_ended(tmp_path):
    home = Home.at(tmp_path)
    pid = orphan(**{leftovers.MARK: str(home.path)})
    assert leftovers.sweep(home) == ["sleep"]
    assert gone(pid)


def test_a_noted_process_is_ended_even_without_its_mark(tmp_path):
    home, pid = Home.at(tmp_path), orphan()
    note(home, pid, psutil.Process(pid).create_time())
    assert leftovers.sweep(home) == ["sleep"]
    assert gone(pid)


def test_a_stranger_that_got_the_same_pid_is_left_alone(tmp_path):
    home, pid = Home.at(tmp_path), orphan()
    note(home, pid, psutil.Process(pid).create_time() - 1000)
    assert leftovers.sweep(home) == []
    assert not gone(pid)
    psutil.Process(pid).kill()


def test_we_never_end_ourselves(tmp_path, monkeypatch):
    monkeypatch.setenv(leftovers.MARK, str(tmp_path.resolve()))
    assert leftovers.sweep(Home.at(tmp_path)) == []
