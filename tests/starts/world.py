"""Real processes of all services, with what they need, and everything that must stay secret."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql

from localnet.network_dir import NetworkDir, free_port
from localnet.process_table import Network, service_env

ROOT = Path(__file__).resolve().parent.parent.parent
SERVICES = ("facilitator", "validator", "miner")
START_SECONDS = 60
# What is promised to an operator.
REFUSAL_SECONDS = 15
STOP_SECONDS = 10
# Marks every secret that a test may choose; the others are random anyway.
MARK = "hush-hush-secret-"
READY = " is ready"


@dataclass
class Running:
    """A process and what it has said, on either stream."""

    process: "subprocess.Popen[str]"
    started: float
    lines: list[str] = field(default_factory=list)
    _said: threading.Condition = field(default_factory=threading.Condition)
    _reader: threading.Thread | None = None

    @classmethod
    def start(cls, command: list[str], env: Mapping[str, str]) -> "Running":
        process = subprocess.Popen(
            command,
            env=dict(env),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        running = cls(process, time.monotonic())
        running._reader = threading.Thread(target=running._read, daemon=True)
        running._reader.start()
        return running

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._said:
                self.lines.append(line.rstrip("\n"))
                self._said.notify_all()
        with self._said:
            self._said.notify_all()

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def says(self, words: str, seconds: float = START_SECONDS) -> str:
        """Wait for a line with these words."""

        def line() -> str | None:
            return next((one for one in self.lines if words in one), None)

        with self._said:
            self._said.wait_for(lambda: line() or self.process.poll() is not None, seconds)
        found = line()
        assert found, f"{words!r} was not said:\n{self.output}"
        return found

    def ends(self, seconds: float) -> float:
        """Wait for its end; the seconds since its start, without those that it had no processor."""
        assert _ended(self.process.pid, seconds), f"still running:\n{self.output}"
        took = time.monotonic() - self.started - _delay(self.process.pid)
        self.process.wait()
        assert self._reader is not None
        self._reader.join(STOP_SECONDS)
        return took

    def stop(self, seconds: float = STOP_SECONDS) -> int:
        """Its exit code after SIGTERM, which it must obey in time."""
        self.process.send_signal(signal.SIGTERM)
        self.started = time.monotonic()
        assert self.ends(START_SECONDS) < seconds
        return self.process.returncode

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self._reader is not None
        assert self.process.stdout is not None
        self._reader.join(STOP_SECONDS)
        self.process.stdout.close()


def _ended(pid: int, seconds: float) -> bool:
    """Wait for the end of a child without forgetting it."""
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG):
            return True
        time.sleep(0.02)
    return False


def _delay(pid: int) -> float:
    """How long the machine, being busy with other things, kept a process waiting."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9


@dataclass(frozen=True)
class World:
    """PostgreSQL, Valkey and a chain, with the tables of all services."""

    home: NetworkDir

    @property
    def network(self) -> Network:
        return Network(self.home)

    def env(self, service: str, folder: Path) -> dict[str, str]:
        """What a healthy process of the service is told, with marked secrets."""
        prefix = service.upper()
        told = service_env(self.network, service)
        return told | {
            f"{prefix}_PORT": str(free_port()),
            f"{prefix}_SECRET_KEY": MARK + "k" * 40,
            f"{prefix}_ADMIN_PASSWORD": MARK + "admin",
            "EXECUTOR_HUB_TOKEN": MARK + "hub",
            "MINER_ADMIN_PORT": str(free_port()),
            "MINER_WORK_DIR": str(folder / "work"),
            "MINER_OWNER": f"starts-{folder.name}",
        }

    def secrets(self) -> Iterator[str]:
        """All that no output may hold."""
        yield MARK
        yield from json.loads((self.home.path / "secrets.json").read_text()).values()
        for name in ("validator", "miner"):
            key = json.loads(self.network.identity(name).hotkey_file.read_text())
            yield from (key[part] for part in ("secretPhrase", "secretSeed") if key.get(part))

    def leaks(self, output: str) -> list[str]:
        return [secret for secret in self.secrets() if secret.removeprefix("0x") in output]

    def new_database(self, name: str, like: str = "template1") -> str:
        """The URL of a database of its own, with the tables of another one."""
        url = self.network.database("facilitator").rsplit("/", 1)[0]
        with psycopg.connect(f"{url}/postgres", autocommit=True) as server:
            server.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                    sql.Identifier(name), sql.Identifier(like)
                )
            )
        return f"{url}/{name}"


def command(service: str, process: str) -> list[str]:
    return [sys.executable, "-m", service, process]


def without_rights(words: list[str]) -> list[str]:
    """The command without the right to open what its user may not open, also for root."""
    if os.getuid():
        return words
    return ["setpriv", "--inh-caps=-all", "--bounding-set=-all", *words]


@contextmanager
def silent_server() -> Iterator[tuple[int, threading.Event]]:
    """A port that accepts connections and never says a word; the event: somebody came."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        came, kept = threading.Event(), []

        def accept() -> None:
            while True:
                try:
                    kept.append(server.accept())
                except OSError:
                    return
                came.set()

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield server.getsockname()[1], came
        finally:
            server.shutdown(socket.SHUT_RDWR)
            for line, _ in kept:
                line.close()


class Forwarder:
    """A port that leads to another one until `hang` is called: then nothing gets through."""

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._hangs = threading.Event()
        self._lines: list[socket.socket] = []

    def __enter__(self) -> "Forwarder":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.refuse()
        for line in self._lines:
            line.close()

    def hang(self) -> None:
        self._hangs.set()

    def refuse(self) -> None:
        """Nobody is there any more."""
        for line in (self._server, *self._lines):
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            self._lines.append(near)
            if self._hangs.is_set():
                continue
            far = socket.create_connection(self._target)
            self._lines.append(far)
            for pair in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=pair, daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(2**16):
                if self._hangs.is_set():
                    return
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
