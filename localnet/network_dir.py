"""The directory of one local network: its ports, secrets, keys, data and logs."""

import json
import os
import random
import secrets
import socket
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

# Below the kernel's range of ephemeral ports (32768 and up): no outgoing connection takes a port
# chosen here before the next start.
_PORTS = range(20_000, 32_000)

Value = TypeVar("Value", int, str)


@dataclass(frozen=True, slots=True)
class NetworkDir:
    """The directory; everything that one network stores is below `path`."""

    path: Path

    @classmethod
    def at(cls, path: Path) -> "NetworkDir":
        network_dir = cls(path.resolve())
        network_dir.path.mkdir(parents=True, exist_ok=True)
        network_dir.logs.mkdir(exist_ok=True)
        return network_dir

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def env_file(self) -> Path:
        return self.path / "env"

    @property
    def state_file(self) -> Path:
        return self.path / "state.json"

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def port(self, name: str) -> int:
        """The port of this name: chosen among the free ones at the first call, then stored."""
        return self._stored("ports", name, lambda: free_port(self._taken()))

    def secret(self, name: str) -> str:
        """The random password of this name: generated at the first call, then stored."""
        return self._stored("secrets", name, lambda: secrets.token_urlsafe(48))

    def settings(self, service: str) -> dict[str, str]:
        """A service's settings in `settings.json`, which override the process table.

        Names are without the service's prefix. The chain and the supervisor have some as well.
        """
        return {name: str(value) for name, value in self._read("settings").get(service, {}).items()}

    def release_busy_ports(self) -> list[str]:
        """Discard stored ports that another program uses now; the names they had."""
        stored = self._read("ports")
        busy = [name for name, port in stored.items() if not is_free(port)]
        for name in busy:
            del stored[name]
        if busy:
            self._write("ports", stored)
        return busy

    def _taken(self) -> set[int]:
        return set(self._read("ports").values())

    def _stored(self, kind: str, name: str, choose: Callable[[], Value]) -> Value:
        stored = self._read(kind)
        if name not in stored:
            stored[name] = choose()
            self._write(kind, stored)
        found: Value = stored[name]
        return found

    def _read(self, kind: str) -> dict[str, Any]:
        try:
            stored: dict[str, Any] = json.loads((self.path / f"{kind}.json").read_text())
        except FileNotFoundError:
            return {}
        return stored

    def _write(self, kind: str, stored: dict[str, Any]) -> None:
        write_atomically(self.path / f"{kind}.json", json.dumps(stored, indent=1), mode=0o600)


def write_atomically(path: Path, text: str, mode: int = 0o644) -> None:
    """Replace a file by renaming, so that readers see the old text or the new one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.touch(mode=mode)
    temporary.write_text(text)
    temporary.replace(path)


def is_free(port: int) -> bool:
    with socket.socket() as candidate:
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port(taken: AbstractSet[int] = frozenset()) -> int:
    for port in random.sample(_PORTS, 200):
        if port not in taken and is_free(port):
            return port
    raise RuntimeError("no free port on 127.0.0.1")
