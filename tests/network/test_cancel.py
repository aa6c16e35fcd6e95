"""A job ends when its owner says so: at every stage, whatever else dies, and for nobody else."""

import asyncio
import json
import subprocess
import sys

import httpx
import pytest
from bittensor_core import Keypair

from compute_horde_sdk.cli.exit_codes import Exit
from compute_horde_sdk.errors import ComputeHordeError
from compute_horde_sdk.v1 import ComputeHordeClient, ComputeHordeJob, HTTPInputVolume
from localnet.identities import ensure_identity
from tests.network.running import ENDS_WITHIN_SECONDS, Running, shell, until
from tests.network.sites import Site
from tests.network.test_killed import assert_all_is_well_again

pytestmark = pytest.mark.usefixtures("containers")

WORK_SECONDS = 110
LONG = f"echo began; trap '' TERM; sleep {WORK_SECONDS}"
LONG_LIMIT = WORK_SECONDS + 10
# What the network's first miner offers.
SEATS = 4
STATE = "SELECT state FROM miner_acceptedjob WHERE uuid = %s"


def containers_of(network: Running) -> str:
    """The miner's containers, running or not."""
    label = f"label=compute_horde.owner={ensure_identity(network.home, 'miner').hotkey}"
    found = ["docker", "ps", "-a", "--filter", label, "--format", "{{.Names}} {{.Status}}"]
    return subprocess.run(found, capture_output=True, text=True, check=True).stdout


async def begun(network: Running, **changes: object) -> ComputeHordeJob:
    """A job whose container runs and has printed a line."""
    limit = {"execution_time_limit_sec": LONG_LIMIT}
    job = await network.client().create_job(shell(LONG, **(limit | changes)))
    pieces = job.logs()
    assert (await anext(pieces)).text == "began\n"
    await pieces.aclose()
    # The miner writes this row a moment after it passed the message on.
    await until(
        lambda: network.rows("miner", STATE, job.uuid) == [("volumes_ready",)], "the miner's row"
    )
    assert containers_of(network)
    return job


async def ended(job: ComputeHordeJob) -> str:
    await job.wait(timeout=ENDS_WITHIN_SECONDS)
    return str(job.status)


async def score_of(network: Running, job: ComputeHordeJob) -> float:
    """What the finished receipt at the miner says the job is worth."""
    query = "SELECT body FROM miner_receipt WHERE job_uuid = %s AND receipt_type = %s"
    sought = (job.uuid, "JobFinishedReceipt")
    await until(lambda: bool(network.rows("miner", query, *sought)), "a finished receipt")
    ((body,),) = network.rows("miner", query, *sought)
    return float(json.loads(body)["payload"]["score_str"])


async def test_a_running_job_is_ended_with_its_output_and_paid_for_its_time(
    network: Running,
) -> None:
    job = await begun(network)
    await job.cancel()
    await job.cancel()
    assert await ended(job) == "cancelled"
    assert job.result is not None
    assert job.result.stdout == "began\n"
    assert job.error is not None
    assert (job.error.reason, job.error.stage) == ("cancelled", "execution")
    assert job.status.is_failed()
    await until(lambda: containers_of(network) == "", "its container is gone")
    assert 0 < await score_of(network, job) < WORK_SECONDS
    for service, table in (
        ("miner", "miner_acceptedjob"),
        ("validator", "jobs_job"),
        ("facilitator", "facilitator_job"),
    ):
        query = f"SELECT state FROM {table} WHERE uuid = %s"
        assert network.rows(service, query, job.uuid) == [("cancelled",)], service
    rows = network.rows("miner", "SELECT stdout FROM miner_acceptedjob WHERE uuid = %s", job.uuid)
    assert rows == [("began\n",)]
    await assert_all_is_well_again(network)


async def test_a_job_that_waits_for_a_machine_is_ended_at_once(network: Running) -> None:
    busy = await asyncio.gather(*(begun(network) for _ in range(SEATS)))
    waiting = await network.client().create_job(shell("echo never"))
    query = "SELECT 1 FROM jobs_job WHERE uuid = %s"
    await until(lambda: bool(network.rows("validator", query, waiting.uuid)), "it is received")
    await waiting.cancel()
    assert await ended(waiting) == "cancelled"
    assert network.rows("miner", STATE, waiting.uuid) == []
    await asyncio.gather(*(job.cancel() for job in busy))
    assert await asyncio.gather(*map(ended, busy)) == ["cancelled"] * SEATS
    await assert_all_is_well_again(network)


async def test_a_download_that_hangs_is_ended(network: Running) -> None:
    async with Site() as site:
        volume = {"/volume/x": HTTPInputVolume(url=site / "stalled/x")}
        job = await network.client().create_job(shell("true", input_volumes=volume))
        ready = [("executor_ready",)]
        await until(lambda: network.rows("miner", STATE, job.uuid) == ready, "it downloads")
        await job.cancel()
        assert await ended(job) == "cancelled"
        assert job.error is not None
        assert job.error.stage == "volume_download"
        assert network.rows("miner", STATE, job.uuid) == [("cancelled",)]
    await assert_all_is_well_again(network)


@pytest.mark.parametrize("victim", ["validator-listen", "facilitator"])
async def test_a_wish_to_cancel_survives_a_crash(network: Running, victim: str) -> None:
    job = await begun(network)
    if victim == "validator-listen":
        network.kill(victim)
        await job.cancel()
    else:
        await job.cancel()
        network.kill(victim)
    assert await ended(job) == "cancelled"
    await until(lambda: containers_of(network) == "", "its container is gone")
    assert 0 < await score_of(network, job) < WORK_SECONDS
    await assert_all_is_well_again(network)


async def test_a_strangers_wish_is_refused(network: Running) -> None:
    job = await begun(network)
    for uri in ("//Eve", "//Bob"):
        stranger = ComputeHordeClient(
            hotkey=Keypair.create_from_uri(uri),
            compute_horde_validator_hotkey=network.env["VALIDATOR_HOTKEY"],
            facilitator_url=network.env["FACILITATOR_URL"],
        )
        async with stranger:
            with pytest.raises(ComputeHordeError):
                await stranger.cancel_job(job.uuid)
    await asyncio.sleep(0.5)
    # The miner writes this row a moment after it passed the message on.
    await until(
        lambda: network.rows("miner", STATE, job.uuid) == [("volumes_ready",)], "the miner's row"
    )
    await job.cancel()
    assert await ended(job) == "cancelled"


async def test_a_published_client_sees_a_cancelled_job_as_failed(network: Running) -> None:
    job = await begun(network)
    await job.cancel()
    assert await ended(job) == "cancelled"
    base = network.env["FACILITATOR_URL"]
    facilitator = network.client().facilitator
    token = (await facilitator._headers_with_token({}))["Authorization"]
    async with httpx.AsyncClient(base_url=base, headers={"Authorization": token}) as published:
        seen = (await published.get(f"/api/v1/jobs/{job.uuid}/")).json()
        events = (await published.get(f"/api/v1/jobs/{job.uuid}/events")).text
    last = seen["status_history"][-1]
    assert (seen["status"], last["status"]) == ("Failed", "failed")
    assert last["metadata"]["job_failure_details"]["reason"] == "cancelled"
    assert last["metadata"]["job_failure_details"]["message"] == "The job was cancelled"
    assert seen["stdout"] == "began\n"
    assert events.count('"status": "failed"') == 2
    assert '"status": "cancelled"' not in events


async def test_a_job_that_has_ended_stays_as_it_is(network: Running) -> None:
    job = await network.run(shell("echo done"))
    await job.cancel()
    again = await network.client().get_job(job.uuid)
    assert (job.status, again.status) == ("completed", "completed")


async def test_the_command_cancels_and_who_waited_is_told_by_the_exit_code(
    network: Running,
) -> None:
    env_file = str(network.home.env_file)
    command = [sys.executable, "-m", "compute_horde_sdk"]
    waiting = await asyncio.create_subprocess_exec(
        *command, "run", "--env-file", env_file, "computehorde/busybox", "sh", "-c", LONG,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert waiting.stderr
    assert waiting.stdout
    uuid = (await waiting.stderr.readline()).decode().split()[1]
    assert await waiting.stdout.readline() == b"began\n"
    cancelling = await asyncio.create_subprocess_exec(
        *command, "cancel", "--env-file", env_file, uuid, stderr=asyncio.subprocess.PIPE
    )
    _, said = await cancelling.communicate()
    assert (cancelling.returncode, said.decode().startswith(f"job {uuid} was cancelled")) == (
        0,
        True,
    )
    printed, told = await waiting.communicate()
    assert (waiting.returncode, printed) == (Exit.CANCELLED, b""), told
    await assert_all_is_well_again(network)
