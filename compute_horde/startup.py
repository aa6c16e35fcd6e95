"""Start and end of a process: one line when it is ready, one line when it cannot work."""

import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from compute_horde.errors import ComputeHordeError
from compute_horde.log_lines import FieldFormatter, redacted
from compute_horde.platform import heap

log = logging.getLogger(__name__)

FAILED = 1
INTERRUPTED = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM


class _State:
    """Global state of this process."""

    name = "process"
    is_ready = False


@contextmanager
def reported(name: str, *, failed: int = FAILED) -> Iterator[None]:
    """Exit with one line when process `name` cannot work, and at once on SIGTERM.

    The first process of a container ignores SIGTERM until it has a handler; this installs one
    until a server, an event loop or Celery installs its own.
    """
    _State.name = name
    heap.share_one_arena()
    heap.return_large_blocks()
    signal.signal(signal.SIGTERM, _stop)
    try:
        yield
    except ComputeHordeError as exc:
        _refuse(str(exc), failed)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Exception:
        if not logging.getLogger().handlers:
            handler = logging.StreamHandler()
            handler.setFormatter(FieldFormatter())
            logging.basicConfig(handlers=[handler])
        log.critical("%s ended by an error", _State.name, exc_info=True)
        sys.exit(failed)


def name_process(name: str) -> None:
    """Set the full name of the process, used in its log lines."""
    _State.name = name


def ready(**fields: Any) -> None:
    """Log, once, one line that this process works now, with `fields`.

    What the start used and no longer needs is returned to the system.
    """
    if _State.is_ready:
        return
    _State.is_ready = True
    heap.release_unused()
    shown = {name: value for name, value in fields.items() if value is not None}
    log.info("%s is ready", _State.name, extra=shown)


def _refuse(problem: str, code: int) -> None:
    what = "stopped" if _State.is_ready else "cannot start"
    line = " ".join(redacted(problem).split())
    sys.stderr.write(f"{_State.name}: {what}: {line}\n")
    sys.stderr.flush()
    sys.exit(code)


def _stop(number: int, frame: FrameType | None) -> None:
    """Exit at once, since nothing has begun; later handlers shut down in order."""
    del number, frame
    if not _State.is_ready:
        os.write(2, f"{_State.name}: stopped before it was ready\n".encode())
        os._exit(TERMINATED)
