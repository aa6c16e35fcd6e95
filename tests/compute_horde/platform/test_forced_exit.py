"""A process that was told to stop ends, whatever still waits in it."""

import subprocess
import sys

STUCK = """
import logging, threading
from compute_horde.platform.forced_exit import exit_within
logging.basicConfig(format="%(message)s")
exit_within({seconds}, "a thread waits for ever")
threading.Thread(target=threading.Event().wait).start() if {stuck} else None
"""


def run(*, seconds: float, stuck: bool) -> subprocess.CompletedProcess[str]:
    code = STUCK.format(seconds=seconds, stuck=stuck)
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_a_thread_that_waits_for_ever_does_not_keep_the_process() -> None:
    done = run(seconds=0.1, stuck=True)
    assert (done.returncode, done.stderr) == (0, "a thread waits for ever\n")


def test_a_process_that_ends_by_itself_is_not_waited_for() -> None:
    done = run(seconds=3600, stuck=False)
    assert (done.returncode, done.stderr) == (0, "")
