"""Listens for a streaming job on a free port of the configured range."""

import errno
import random
import socket

from compute_horde.errors import ConfigurationError, HordeError
from compute_horde.vocabulary import HordeReason

HIGHEST = 65535
BACKLOG = 256


def parse_range(text: str) -> range:
    """The ports of `6000-6999`, of one port, or of `0` for any free one.

    Raises `ConfigurationError` for another text.
    """
    first, _, last = text.replace(" ", "").partition("-")
    try:
        ports = range(int(first), int(last or first) + 1)
    except ValueError:
        ports = range(0)
    if not ports or ports[0] < 0 or ports[-1] > HIGHEST or (ports[0] == 0 and len(ports) > 1):
        raise ConfigurationError(
            f"EXECUTOR_STREAMING_PORTS={text!r} is no range of ports; write 6000-6999, or 0 for any"
        )
    return ports


def listen(host: str, ports: range) -> socket.socket:
    """A socket that listens on one of the ports; raises `HordeError` when none is free."""
    # Start at a random port, so that executors of one machine seldom try the same one.
    start = random.randrange(len(ports))
    for port in (*ports[start:], *ports[:start]):
        try:
            return _listening(host, port)
        except OSError as exc:
            if exc.errno != errno.EADDRINUSE:
                raise HordeError(
                    HordeReason.STREAMING_FAILED, f"cannot listen on {host}: {exc.strerror or exc}"
                ) from exc
    raise HordeError(
        HordeReason.STREAMING_FAILED,
        f"no port for streaming is free from {ports[0]} to {ports[-1]} on the executor's machine",
    )


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((host, port))
        # Two sockets may bind to a port, but only one may listen.
        opened.listen(BACKLOG)
    except BaseException:
        opened.close()
        raise
    return opened
