"""What a process needs before it can start, checked with a time limit; errors name the remedy."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

from compute_horde.adapters.wallet import load_hotkey
from compute_horde.django import migration_check
from compute_horde.django.database_address import connection_parameters
from compute_horde.errors import ChainError, ConfigurationError, OutsideError

# Each check has its own timeout of at most 10 s; this is for what no library limits.
LIMIT_SECONDS = 30.0
# How long to wait for a database that is starting.
DATABASE_SECONDS = 3.0
AGAIN_SECONDS = 0.25
ASK_SECONDS = 5
CHAIN_SECONDS = 10.0
BACKLOG = 2048


@dataclass(frozen=True, slots=True)
class Need:
    """A precondition of a process; `check` raises `ComputeHordeError` when it is not met."""

    name: str
    check: Callable[[], None]
    # Whether the check reads Django's settings, and whether it uses the service's models.
    with_settings: bool = False
    with_models: bool = False
    # Slow imports, done outside the time limit: a busy machine must not look like a dead peer.
    prepare: Callable[[], object] | None = None


def check_all(needs: Sequence[Need], limit_seconds: float = LIMIT_SECONDS) -> None:
    """Check one after the other; a check that exceeds the limit has failed.

    In a thread, so that an unresponsive name server or node does not delay signals.
    """
    failed: list[BaseException] = []
    at_work = [""]

    def work() -> None:
        try:
            for need in needs:
                at_work[0] = need.name
                need.check()
        except BaseException as exc:  # noqa: BLE001 (raised again below)
            failed.append(exc)

    for need in needs:
        if need.prepare:
            need.prepare()
    thread = threading.Thread(target=work, name="checks before the start", daemon=True)
    thread.start()
    thread.join(limit_seconds)
    if failed:
        raise failed[0]
    if thread.is_alive():
        raise OutsideError(f"the {at_work[0]} did not answer within {limit_seconds:g} s")


def hotkey(path: Path) -> Need:
    """A readable hotkey file that can sign."""

    def check() -> None:
        load_hotkey(path)

    return Need("hotkey", check)


class ListenAddress:
    """The address that a web server listens on, bound before anything else is started."""

    def __init__(self, host: str, port: int, prefix: str) -> None:
        self._host, self._port, self._prefix = host, port, prefix
        self.sockets: list[socket.socket] = []

    @property
    def need(self) -> Need:
        """The need that the address is free."""
        return Need("port", self.bind)

    @property
    def address(self) -> str:
        """The address, in the form used in URLs."""
        host, port = self.sockets[0].getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def bind(self) -> None:
        """Bind the address; connections are refused until the server listens."""
        where = f"{self._prefix}HOST={self._host}, {self._prefix}PORT={self._port}"
        try:
            found = socket.getaddrinfo(
                self._host, self._port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )
            family, kind, protocol, _, address = found[0]
            listener = socket.socket(family, kind, protocol)
            with ExitStack() as on_error:
                on_error.callback(listener.close)
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind(address)
                on_error.pop_all()
        except OSError as exc:
            raise ConfigurationError(
                f"cannot listen there ({where}): {exc.strerror or exc}; end what listens there or "
                "choose another address"
            ) from exc
        listener.set_inheritable(False)
        self.sockets.append(listener)


def database(prefix: str, *, migrated: bool = True) -> Need:
    """A database that accepts our login and, if `migrated`, has exactly our migrations."""

    def check() -> None:
        with _connect(f"{prefix}DATABASE_URL") as line:
            if migrated:
                migration_check.check(line, prefix.lower().strip("_"))

    return Need("database", check, with_settings=True)


def _connect(setting: str) -> psycopg.Connection:
    give_up = time.monotonic() + DATABASE_SECONDS
    parameters = connection_parameters()
    while True:
        try:
            return psycopg.connect(**parameters, connect_timeout=ASK_SECONDS)
        except psycopg.OperationalError as exc:
            problem = database_problem(exc)
            if not problem.may_pass or time.monotonic() > give_up:
                host, port = parameters.get("host", ""), parameters.get("port", 5432)
                where = f"{parameters['dbname']!r} at {host}:{port}"
                raise OutsideError(
                    f"the database {where} cannot be used: {problem.detail}; {problem.remedy} "
                    f"({setting})"
                ) from exc
        time.sleep(AGAIN_SECONDS)


@dataclass(frozen=True, slots=True)
class DatabaseProblem:
    """Why a connection failed. `kind` may be public, `detail` is for the operator."""

    kind: str
    detail: str
    remedy: str
    may_pass: bool


def database_problem(error: Exception) -> DatabaseProblem:
    """Describes a connection error of the driver."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    detail = lines[0].rpartition(" failed: ")[2].replace("FATAL:  ", "")
    if "password authentication failed" in detail:
        return DatabaseProblem("refuses us", detail, "correct the user and the password", False)
    if "does not exist" in detail:
        return DatabaseProblem("is unknown", detail, "create it or correct the name", False)
    if "FATAL" in lines[0] and "starting up" not in detail:
        return DatabaseProblem("refuses us", detail, "let the server take us in", False)
    remedy = "start PostgreSQL there or correct the address"
    return DatabaseProblem("cannot be reached", detail, remedy, True)


def broker(url: str, setting: str) -> Need:
    """The Valkey (or Redis) that Celery uses as its broker."""

    def check() -> None:
        import redis

        parts = urlsplit(url)
        try:
            where = f"{parts.hostname}:{parts.port or 6379}"
            options: dict[str, Any] = {"socket_connect_timeout": ASK_SECONDS}
            client = redis.Redis.from_url(url, socket_timeout=ASK_SECONDS, **options)
        except ValueError:
            raise ConfigurationError(
                f"{setting} is no address of a broker; write redis://:password@host:port/0"
            ) from None
        try:
            with client:
                client.ping()
        except redis.RedisError as exc:
            detail = str(exc).splitlines()[0]
            raise OutsideError(
                f"the broker at {where} cannot be used: {detail}; start Valkey there or correct "
                f"{setting}"
            ) from exc

    return Need("broker", check, with_settings=True)


def chain(url: str, netuid: int, hotkey_file: Path, prefix: str, *, registered: bool) -> Need:
    """A chain node that answers, and our hotkey registered on the subnet."""

    def check() -> None:
        from compute_horde.adapters.chain import connect
        from compute_horde.adapters.websocket import without_path

        ours = load_hotkey(hotkey_file).ss58_address
        nodes = [one.strip() for one in url.split(",")]
        names = [without_path(one) if "://" in one else one for one in nodes]
        where = ", ".join(names)
        try:
            with connect(nodes, netuid, timeout_seconds=CHAIN_SECONDS) as node:
                known = {neuron.hotkey for neuron in node.metagraph().neurons}
        except ChainError as exc:
            detail = str(exc)
            for node_url, name in zip(nodes, names, strict=True):
                detail = detail.replace(node_url, name)
            raise OutsideError(
                f"the chain at {where} cannot be used: {detail}; correct {prefix}CHAIN_URL or "
                f"{prefix}NETUID, or try again when the node is back"
            ) from exc
        if registered and ours not in known:
            raise ConfigurationError(
                f"the hotkey {ours} is not registered on subnet {netuid} of the chain at {where}: "
                f"register it, or correct {prefix}HOTKEY_FILE, {prefix}CHAIN_URL or {prefix}NETUID"
            )

    # The import costs half a second and 15 MiB, so only processes that use the chain do it.
    def prepare() -> object:
        return import_module("compute_horde.adapters.chain")

    return Need("chain", check, with_settings=True, prepare=prepare)


def asked(name: str, question: Callable[[], Coroutine[Any, Any, None]]) -> Need:
    """A need whose check is a coroutine of the service, which may use its models."""

    def check() -> None:
        asyncio.run(question())

    return Need(name, check, with_models=True)
