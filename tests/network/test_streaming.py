"""Streaming jobs: served to their user alone, through the whole network."""

import asyncio
import os
import signal
import socket

import httpx
import psutil
import pytest

from compute_horde_sdk.streaming_client import EVIDENCE, JobServer, StreamingClient, new_identity
from compute_horde_sdk.v1 import ComputeHordeError, ComputeHordeJob, ComputeHordeJobSpec
from tests.executor.service import SCRIPT
from tests.network.running import ENDS_WITHIN_SECONDS, Running, shell, until

pytestmark = pytest.mark.usefixtures("containers")


def service(script: str = SCRIPT, **changes: object) -> ComputeHordeJobSpec:
    """A job that serves until it is told to stop."""
    return shell(script, **({"streaming": True, "streaming_start_time_limit_sec": 15} | changes))


async def a_serving_job(network: Running, **changes: object) -> ComputeHordeJob:
    job = await network.client().create_job(service(**changes))
    await job.wait_for_streaming(timeout=ENDS_WITHIN_SECONDS)
    return job


async def ended(job: ComputeHordeJob) -> str:
    await job.wait(timeout=ENDS_WITHIN_SECONDS)
    return job.status.value


def port_of(job: ComputeHordeJob) -> int:
    assert job.streaming_server_port
    return job.streaming_server_port


def is_open(port: int) -> bool:
    with socket.socket() as knocking:
        return knocking.connect_ex(("127.0.0.1", port)) == 0


def proxies(network: Running) -> list[psutil.Process]:
    """The TLS proxies below the miner's executors."""
    below = psutil.Process(network.pid("miner")).children(recursive=True)
    return [process for process in below if _is_proxy(process)]


def _is_proxy(process: psutil.Process) -> bool:
    try:
        return "executor.streaming.proxy" in process.cmdline()
    except psutil.Error:
        return False


async def nothing_left(network: Running, job: ComputeHordeJob) -> None:
    await until(lambda: not is_open(port_of(job)), "the port is given back")
    await until(lambda: not proxies(network), "no proxy runs")


async def test_a_user_reaches_his_job_and_ends_it(network: Running) -> None:
    job = await a_serving_job(network)
    async with job.streaming_client(require_proof=True) as client:
        assert (await client.get("/hello")).text == "hello\n"
        body = os.urandom(2**20)
        assert (await client.post("/cgi-bin/echo", content=body)).content == body
        answer = await client.signed("POST", "/cgi-bin/echo?a=b%20c", content=b"signed")
        assert answer.content == b"signed"
        assert answer.extensions[EVIDENCE].from_ns <= answer.extensions[EVIDENCE].to_ns
        await client.get("/cgi-bin/terminate")
    assert await ended(job) == "completed"
    assert job.result is not None
    assert job.result.stdout == "served\n"
    assert [entry.status.value for entry in job.status_history] == [
        "sent",
        "received",
        "accepted",
        "executor_ready",
        "volumes_ready",
        "streaming_ready",
        "execution_done",
        "completed",
    ]
    await nothing_left(network, job)


async def test_nobody_else_does(network: Running) -> None:
    job = await a_serving_job(network)
    assert job.streaming_server_address
    assert job.streaming_server_cert
    server = JobServer(
        job.uuid, job.streaming_server_address, port_of(job), job.streaming_server_cert
    )
    async with StreamingClient(server, new_identity()) as stranger:
        with pytest.raises(httpx.TransportError):
            await stranger.get("/hello")
    async with job.streaming_client() as client:
        assert (await client.get("/hello")).text == "hello\n"
        await client.get("/cgi-bin/terminate")
    assert await ended(job) == "completed"


async def test_another_server_than_the_signed_one_is_refused(network: Running) -> None:
    job = await a_serving_job(network)
    genuine = job.streaming_server_cert
    job.streaming_server_cert = new_identity().pem
    with pytest.raises(ComputeHordeError, match="do not connect"):
        job.streaming_client()
    job.streaming_server_cert = genuine
    async with job.streaming_client() as client:
        await client.get("/cgi-bin/terminate")
    assert await ended(job) == "completed"


async def test_two_jobs_serve_side_by_side(network: Running) -> None:
    jobs = await asyncio.gather(*(a_serving_job(network) for _ in range(2)))
    assert port_of(jobs[0]) != port_of(jobs[1])
    for job in jobs:
        async with job.streaming_client() as client:
            assert (await client.get("/hello")).text == "hello\n"
    async with jobs[0].streaming_client() as client:
        client.base_url = f"https://127.0.0.1:{port_of(jobs[1])}"
        with pytest.raises(httpx.TransportError):
            await client.get("/hello")
    for job in jobs:
        async with job.streaming_client() as client:
            await client.get("/cgi-bin/terminate")
        assert await ended(job) == "completed"
    for job in jobs:
        await nothing_left(network, job)


async def test_a_job_that_serves_for_ever_is_ended(network: Running) -> None:
    job = await a_serving_job(
        network,
        download_time_limit_sec=1,
        execution_time_limit_sec=3,
        streaming_start_time_limit_sec=10,
    )
    assert await ended(job) == "failed"
    assert job.error is not None
    assert job.error.reason == "timeout"
    await nothing_left(network, job)


async def test_a_job_without_health_fails_by_its_own_fault(network: Running) -> None:
    job = await network.client().create_job(
        service("sleep 100", download_time_limit_sec=1, streaming_start_time_limit_sec=1)
    )
    with pytest.raises(ComputeHordeError, match="Streaming job health check failed"):
        await job.wait_for_streaming(timeout=ENDS_WITHIN_SECONDS)
    assert (job.error.reason, job.error.stage) == ("timeout", "streaming_startup")


async def test_an_image_that_is_not_listed_is_refused_before_a_miner_is_asked(
    network: Running,
) -> None:
    job = await network.client().create_job(service(docker_image="elsewhere/image:1"))
    with pytest.raises(ComputeHordeError, match="allows no streaming jobs of image 'elsewhere"):
        await job.wait_for_streaming(timeout=ENDS_WITHIN_SECONDS)
    assert job.status == "rejected"
    assert network.rows("miner", "SELECT 1 FROM miner_acceptedjob WHERE uuid = %s", job.uuid) == []


async def test_a_killed_executor_leaves_nothing(network: Running) -> None:
    job = await a_serving_job(network)
    (proxy,) = proxies(network)
    executor = proxy.parent()
    assert executor is not None
    os.kill(executor.pid, signal.SIGKILL)
    assert await ended(job) == "horde_failed"
    await nothing_left(network, job)
