"""Calls of SkyPilot: what they are given, and what becomes of their answers."""

import sys

import pytest

from compute_horde_sdk.fallback import sky
from compute_horde_sdk.fallback.errors import FallbackError, FallbackNotFoundError
from compute_horde_sdk.fallback.spec import FallbackJobSpec
from compute_horde_sdk.job_status import ComputeHordeJobStatus
from tests.compute_horde_sdk.fallback.test_client import JobStatus, StandIn

SPEC = FallbackJobSpec(
    run="echo $A", envs={"A": "b", "PATH": "/usr/bin:/bin"}, ports=("80", "90"), region="eu"
)


@pytest.fixture
def cloud(tmp_path, monkeypatch):
    stand_in = StandIn(tmp_path)
    monkeypatch.setitem(sys.modules, "sky", stand_in)
    return stand_in


async def test_a_machine_is_started_with_what_the_job_asks_for(cloud):
    await sky.launch("runpod", "u", SPEC, 7, {"use_spot": True})
    assert cloud.launched == {
        "cluster_name": "ch-u",
        "idle_minutes_to_autostop": 7,
        "down": True,
    }
    asked = {name: value for name, value in cloud.resources.items() if value is not None}
    assert asked == {"cloud": "RUNPOD", "ports": ["80", "90"], "region": "eu", "use_spot": True}


@pytest.mark.parametrize("ports", [None, 80, "80-90"])
async def test_ports_are_passed_on_as_skypilot_takes_them(cloud, ports):
    await sky.launch("aws", "u", FallbackJobSpec(ports=ports, envs=SPEC.envs), 7, {})
    assert cloud.resources["ports"] == ports


async def test_a_job_s_status_and_log_are_those_of_its_machine(cloud):
    await sky.launch("aws", "u", SPEC, 7, {})
    assert await sky.status("u") is ComputeHordeJobStatus.VOLUMES_READY
    assert await sky.status("u") is ComputeHordeJobStatus.COMPLETED
    assert "ch64:stdout:Ygo=" in await sky.log("u")
    (cloud.root / "ch-u" / "run.log").unlink()
    assert await sky.log("u") == ""


@pytest.mark.parametrize("state", JobStatus)
async def test_states_become_statuses(cloud, state):
    cloud.clusters["ch-u"] = [state]
    assert await sky.status("u") is sky.STATES[state.name]


async def test_a_machine_without_a_job_has_no_status(cloud):
    cloud.clusters["ch-u"] = [None]
    with pytest.raises(FallbackNotFoundError, match="no job on the machine of u"):
        await sky.status("u")


async def test_only_our_machines_are_listed_and_released(cloud):
    for uuid in ("u", "v"):
        cloud.clusters[f"ch-{uuid}"] = [JobStatus.RUNNING]
    assert await sky.uuids() == ["u", "v"]
    await sky.down("u")
    assert await sky.uuids() == ["v"]


@pytest.mark.parametrize("call", [sky.status, sky.log, sky.down])
async def test_a_machine_that_is_gone_is_not_found(cloud, call):
    with pytest.raises(FallbackNotFoundError, match="job gone has no machine"):
        await call("gone")


def test_skypilot_is_imported_or_what_to_install_is_said(cloud, monkeypatch):
    assert sky.installed() is cloud
    monkeypatch.setitem(sys.modules, "sky", None)
    with pytest.raises(FallbackError, match="sky check"):
        sky.installed()
