"""Fixtures of the SDK's tests."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from bittensor_core import serialized_keypair_to_keyfile_data

from compute_horde_sdk import peers_requiring_proof
from compute_horde_sdk.v1 import ComputeHordeClient, ComputeHordeJobSpec, ExecutorClass
from tests.compute_horde_sdk import pretend
from tests.compute_horde_sdk.pretend import USER, VALIDATOR, Pretend


@pytest.fixture(autouse=True)
def _forgotten(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Isolates the sets of proven peers, which start empty in each test."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
    peers_requiring_proof.validators.forget_unsaved()
    peers_requiring_proof.facilitators.forget_unsaved()


@pytest.fixture
def server() -> Iterator[Pretend]:
    with pretend.running() as server:
        yield server


@pytest.fixture
async def client(server: Pretend) -> AsyncIterator[ComputeHordeClient]:
    async with ComputeHordeClient(USER, VALIDATOR, facilitator_url=server.url) as client:
        yield client


@pytest.fixture
def spec() -> ComputeHordeJobSpec:
    return ComputeHordeJobSpec(
        executor_class=ExecutorClass.always_on__test,
        job_namespace="SN12.0",
        docker_image="computehorde/busybox",
        args=["echo", "hi"],
    )


@pytest.fixture
def hotkey_file(tmp_path: Path) -> Path:
    path = tmp_path / "hotkey"
    path.write_bytes(bytes(serialized_keypair_to_keyfile_data(USER)))
    return path


@pytest.fixture
def settings(server: Pretend, hotkey_file: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of a configured user."""
    known = {
        "FACILITATOR_URL": server.url,
        "USER_HOTKEY_FILE": str(hotkey_file),
        "VALIDATOR_HOTKEY": VALIDATOR,
    }
    for name, value in known.items():
        monkeypatch.setenv(name, value)
    return known
