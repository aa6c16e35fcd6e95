"""A child process gets a signal when its parent dies."""

import os
import select
import signal
import subprocess
import sys

FAMILY = """
import os, signal, sys, time
from compute_horde.platform.parent_death import die_with_parent
parent = os.getpid()
if os.fork() == 0:
    signal.signal(signal.SIGTERM, lambda *_: (os.write(1, b"told"), os._exit(0)))
    die_with_parent({parent})
    os.write(1, b"ready")
    time.sleep(30)
    os._exit(0)
time.sleep(30)
"""


def test_a_killed_parent_is_told_to_its_child():
    with subprocess.Popen(
        [sys.executable, "-c", FAMILY.replace("{parent}", "parent")], stdout=subprocess.PIPE
    ) as parent:
        assert os.read(parent.stdout.fileno(), 100) == b"ready"
        parent.send_signal(signal.SIGKILL)
        assert select.select([parent.stdout], [], [], 10)[0]
        assert os.read(parent.stdout.fileno(), 100) == b"told"


def test_a_parent_that_died_before_is_noticed():
    with subprocess.Popen(
        [sys.executable, "-c", FAMILY.replace("{parent}", "1")], stdout=subprocess.PIPE
    ) as parent:
        assert os.read(parent.stdout.fileno(), 100) == b"told"
        parent.kill()
