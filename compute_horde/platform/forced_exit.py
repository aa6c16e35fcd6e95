"""Ends a process that was told to stop although something in it still waits."""

import logging
import os
import threading

log = logging.getLogger(__name__)

# Supervisors kill a process ten seconds after SIGTERM.
STOP_SECONDS = 7.0
# Servers wait for their connections and their work before.
SERVER_STOP_SECONDS = 9.0


def exit_within(seconds: float, left_behind: str) -> None:
    """End this process with code 0 after `seconds`, unless it ends by itself before.

    Threads that wait for a server that does not answer cannot be ended otherwise. `left_behind`
    says in the log what is abandoned.
    """

    def leave() -> None:
        log.warning("%s", left_behind)
        logging.shutdown()
        os._exit(0)

    late = threading.Timer(seconds, leave)
    late.daemon = True
    late.start()
