"""The folder of one local network: its ports, secrets, keys, data and logs."""

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

# Below the range from which the kernel takes ports for outgoing connections: a port chosen
# here is still free at the next start.
_PORTS = range(20_000, 32_000)

Kept = TypeVar("Kept", int, str)


@dataclass(frozen=True, slots=True)
class Home:
    """Everything that one network keeps lies below `path`."""

    path: Path

    @classmethod
    def at(cls, path: Path) -> "Home":
        home = cls(path.resolve())
        home.path.mkdir(parents=True, exist_ok=True)
        home.logs.mkdir(exist_ok=True)
        return home

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
        """A free port, chosen once per name."""
        return self._kept("ports", name, lambda: free_port(self._taken()))

    def secret(self, name: str) -> str:
        """A random password, chosen once per name."""
        return self._kept("secrets", name, lambda: secrets.token_urlsafe(24))

    def settings(self, service: str) -> dict[str, str]:
        """What `settings.json` says beyond the table: names without prefix, by service."""
        return {name: str(value) for name, value in self._read("settings").get(service, {}).items()}

    def release_busy_ports(self) -> list[str]:
        """Forget the ports that somebody else took meanwhile, and name whose they were."""
        kept = self._read("ports")
        busy = [name for name, port in kept.items() if not is_free(port)]
        for name in busy:
            del kept[name]
        if busy:
            self._write("ports", kept)
        return busy

    def _taken(self) -> set[int]:
        return set(self._read("ports").values())

    def _kept(self, kind: str, name: str, choose: Callable[[], Kept]) -> Kept:
        kept = self._read(kind)
        if name not in kept:
            kept[name] = choose()
            self._write(kind, kept)
        found: Kept = kept[name]
        return found

    def _read(self, kind: str) -> dict[str, Any]:
        try:
            kept: dict[str, Any] = json.loads((self.path / f"{kind}.json").read_text())
        except FileNotFoundError:
            return {}
        return kept

    def _write(self, kind: str, kept: dict[str, Any]) -> None:
        write_whole(self.path / f"{kind}.json", json.dumps(kept, indent=1), mode=0o600)


def write_whole(path: Path, text: str, mode: int = 0o644) -> None:
    """Replace a file in one step, so that no reader ever sees half of it."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.touch(mode=mode)
    draft.write_text(text)
    draft.replace(path)


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
