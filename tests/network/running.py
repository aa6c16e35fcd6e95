"""A running local network as the tests use it."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg

from compute_horde.keyfile import load_hotkey
from compute_horde_sdk.v1 import (
    ComputeHordeClient,
    ComputeHordeJob,
    ComputeHordeJobSpec,
    ExecutorClass,
)
from localnet.network_dir import NetworkDir
from localnet.supervisor import state_file

BUSYBOX = "computehorde/busybox"
ENDS_WITHIN_SECONDS = 150
FILLED_BYTES = 64 * 2**20
TINY_DISK_BYTES = 4 * 2**20
# The miner's own, for jobs that bring none.
HUB_TOKEN = "hf_of_the_miner"


def spec(*args: str, **changes: Any) -> ComputeHordeJobSpec:
    """A short busybox job."""
    fields: dict[str, Any] = {
        "executor_class": ExecutorClass.always_on__test,
        "job_namespace": "SN12.tests",
        "docker_image": BUSYBOX,
        "args": list(args),
        "download_time_limit_sec": 10,
        "execution_time_limit_sec": 30,
        "upload_time_limit_sec": 10,
    }
    return ComputeHordeJobSpec(**(fields | changes))


def shell(script: str, **changes: Any) -> ComputeHordeJobSpec:
    """A job that runs a shell script."""
    return spec("sh", "-c", script, **changes)


@dataclass(frozen=True)
class Running:
    """The network's addresses, databases and processes."""

    home: NetworkDir
    clients: list[ComputeHordeClient] = field(default_factory=list)
    _databases: dict[str, psycopg.Connection[Any]] = field(default_factory=dict)

    @property
    def env(self) -> dict[str, str]:
        lines = self.home.env_file.read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)

    def client(self) -> ComputeHordeClient:
        """A new client of the local user; it is closed after the test."""
        client = ComputeHordeClient(
            hotkey=load_hotkey(Path(self.env["USER_HOTKEY_FILE"])),
            compute_horde_validator_hotkey=self.env["VALIDATOR_HOTKEY"],
            facilitator_url=self.env["FACILITATOR_URL"],
        )
        self.clients.append(client)
        return client

    async def run(self, job_spec: ComputeHordeJobSpec) -> ComputeHordeJob:
        """One job to its end."""
        job = await self.client().create_job(job_spec)
        await job.wait(timeout=ENDS_WITHIN_SECONDS)
        return job

    def rows(self, service: str, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """What `query` finds in a service's database."""
        try:
            return self._database(service).execute(query, values).fetchall()
        except psycopg.OperationalError:
            # The server has been killed since: its next one is asked on a new connection.
            if (broken := self._databases.pop(service, None)) is None:
                raise
            broken.close()
            return self._database(service).execute(query, values).fetchall()

    def _database(self, service: str) -> psycopg.Connection[Any]:
        """One connection for all questions: tests ask several times a second."""
        if service not in self._databases:
            url = self.env[f"{service.upper()}_DATABASE_URL"]
            self._databases[service] = psycopg.connect(url, autocommit=True)
        return self._databases[service]

    def close(self) -> None:
        """Close the connections to the databases."""
        while self._databases:
            self._databases.popitem()[1].close()

    def pid(self, name: str) -> int:
        """The process of the network called `name`."""
        found = next(entry.pid for entry in state_file.read(self.home) if entry.name == name)
        assert found, f"{name} does not run"
        return found

    def kill(self, name: str) -> None:
        """kill -9, as a crash would."""
        os.kill(self.pid(name), signal.SIGKILL)

    def executors(self) -> list[psutil.Process]:
        """The executors that the miner's prefork server has forked."""
        below = psutil.Process(self.pid("miner")).children(recursive=True)
        return [process for process in below if _is_leaf(process)]


def _is_leaf(process: psutil.Process) -> bool:
    try:
        return not process.children()
    except psutil.NoSuchProcess:
        return False


async def until(claim: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Wait for something that the network shows only in its rows or processes."""
    give_up = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < give_up, f"never happened: {what}"
        await asyncio.sleep(0.1)


def memory(pid: int) -> int:
    """What a process holds now."""
    return int(psutil.Process(pid).memory_info().rss)
