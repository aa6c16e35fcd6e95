"""One PostgreSQL, Valkey and chain for all starts; what was started is gone after each test."""

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from localnet import testing
from localnet.network_dir import NetworkDir
from tests.starts.world import Running, World

# The tables of processes are read when tests are collected, and with them the settings.
with tempfile.TemporaryDirectory() as _folder:
    for _name, _value in testing.settings_env(NetworkDir.at(Path(_folder))).items():
        os.environ.setdefault(_name, _value)

SEEDED = ("facilitator-seed", "validator-seed", "miner-seed")


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    with testing.running((*testing.SERVERS, "chain", *SEEDED)) as home:
        yield World(home)


@pytest.fixture
def start() -> Iterator[Callable[[list[str], Mapping[str, str]], Running]]:
    started: list[Running] = []

    def run(command: list[str], env: Mapping[str, str]) -> Running:
        started.append(Running.start(command, env))
        return started[-1]

    yield run
    for one in started:
        one.kill()
