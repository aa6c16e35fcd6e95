"""A streaming job is reachable by its user only, and leaves nothing behind."""

import asyncio
import contextlib
import json
import socket
import subprocess

import httpx
import psutil
import pytest

from compute_horde.container_names import job_container
from compute_horde.protocol.job import StreamingDetails, StreamingReady, Timing
from compute_horde.streaming.certificates import new_identity
from compute_horde.vocabulary import FailureReason, HordeReason, Stage
from executor import process
from executor.process import id_of
from executor.sandbox.engine import EXECUTOR, ContainerSpec
from localnet import images
from tests.executor.service import SCRIPT, client
from tests.peers.executors_miner import TIMING, TOKEN, Miner, offer, payload, serving

USER = new_identity()
TIMES = Timing(**(TIMING.model_dump() | {"streaming_start_time_limit": 10}))
SHORT = Timing(
    allowed_leeway=1,
    download_time_limit=1,
    execution_time_limit=1,
    upload_time_limit=5,
    # The container's start counts too.
    streaming_start_time_limit=4,
)


@pytest.fixture(scope="session")
def relay():
    """The relay's image, built as for the local network."""
    images.build()
    return images.RELAY


@pytest.fixture
def streaming(config, work, engine, busybox, relay):
    """Runs a streaming job and yields its miner; checks afterwards that nothing is left."""

    @contextlib.asynccontextmanager
    async def run(line=SCRIPT, *, timing=TIMES, settings=None, **changes):
        details = StreamingDetails(public_key=USER.pem, executor_ip="127.0.0.1")
        offered = offer(
            busybox, executor_timing=timing, **({"streaming_details": details} | changes)
        )
        full = payload(busybox, "sh", "-c", line)
        own = {"relay_image": relay, "streaming_host": "127.0.0.1", "streaming_ports": "0"}
        async with serving(Miner(offered, after_ready=full)) as miner:
            settings = config.model_copy(
                update={"miner_address": miner.address} | own | (settings or {})
            )
            running = asyncio.create_task(process.run_executor(settings, TOKEN, id_of(TOKEN), work))
            miner.running = running
            try:
                yield miner
            finally:
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait_for(running, 60)
        assert await engine.labelled(EXECUTOR, id_of(TOKEN)) == {}
        assert proxies() == []

    return run


def proxies():
    """The proxy processes of this test process."""
    return [
        one
        for one in psutil.Process().children(recursive=True)
        if one.status() != psutil.STATUS_ZOMBIE
        and any("executor.streaming" in part for part in one.cmdline())
    ]


def assert_closed(port):
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 2)


async def test_the_user_is_answered_and_the_job_ends_well(streaming):
    async with streaming() as miner:
        ready = await miner.receives(StreamingReady)
        async with client(ready.port, ready.public_key, USER) as asks:
            assert (await asks.get("/hello")).text == "hello\n"
            assert (await asks.post("/cgi-bin/echo", content=b"x" * 300_000)).content == (
                b"x" * 300_000
            )
            await asks.get("/cgi-bin/terminate")
    assert miner.facts == [
        "ExecutorReady",
        "VolumesReady",
        "StreamingReady",
        "ExecutionDone",
        "JobFinished",
    ]
    assert miner.last.docker_process_stdout == "served\n"
    assert_closed(ready.port)


@pytest.mark.parametrize("identity", [None, new_identity()], ids=["none", "another"])
async def test_nobody_else_is_answered(streaming, identity):
    async with streaming() as miner:
        ready = await miner.receives(StreamingReady)
        async with client(ready.port, ready.public_key, identity) as stranger:
            with pytest.raises(httpx.TransportError):
                await stranger.get("/hello")
        async with client(ready.port, ready.public_key, USER) as asks:
            await asks.get("/cgi-bin/terminate")


async def test_the_job_reaches_nobody(streaming):
    """A streaming job cannot reach its machine, a name server or the internet."""
    with socket.create_server(("0.0.0.0", 0)) as host:
        port = host.getsockname()[1]
        line = f"""
        busybox ip -o -4 addr; busybox ip route
        for at in 127.0.0.1 172.17.0.1 127.0.0.11; do
            busybox nc -w 1 $at {port} < /dev/null && echo reached $at
        done
        busybox nslookup example.com 127.0.0.11 > /dev/null 2>&1 && echo named
        true
        """
        async with streaming(line) as miner:
            pass
    printed = miner.last.docker_process_stdout
    assert "127.0.0.1/8" in printed
    assert "reached" not in printed
    assert "named" not in printed
    assert printed.count("inet ") == 1


async def test_a_job_that_is_never_healthy_fails_by_its_own_fault(streaming):
    # Its time limit is far away: only the health check can end it.
    patient = SHORT.model_copy(update={"execution_time_limit": 30})
    async with streaming("echo up; sleep 60", timing=patient) as miner:
        pass
    assert miner.facts == ["ExecutorReady", "VolumesReady", "JobFailed"]
    assert (miner.last.reason, miner.last.stage) == (
        FailureReason.TIMEOUT,
        Stage.STREAMING_STARTUP,
    )
    assert miner.last.message == "Streaming job health check failed"
    assert miner.last.docker_process_stdout == "up\n"


async def test_a_job_that_serves_too_long_is_ended(streaming):
    slow_start = SHORT.model_copy(update={"streaming_start_time_limit": 10})
    async with streaming(timing=slow_start) as miner:
        ready = await miner.receives(StreamingReady)
    assert (miner.last.reason, miner.last.stage) == (FailureReason.TIMEOUT, Stage.EXECUTION)
    assert_closed(ready.port)


async def test_a_job_that_breaks_before_it_serves_says_so_at_once(streaming):
    async with streaming("echo no >&2; exit 3") as miner:
        pass
    assert miner.last.docker_process_exit_status == 3
    assert miner.last.docker_process_stderr == "no\n"


async def test_a_stopped_executor_takes_all_with_it(streaming):
    async with streaming() as miner:
        ready = await miner.receives(StreamingReady)
        miner.running.cancel()
    assert_closed(ready.port)


async def test_what_is_no_certificate_is_the_user_s_fault(streaming):
    details = StreamingDetails(public_key="PEM")
    async with streaming(streaming_details=details) as miner:
        pass
    assert miner.kinds[-1] == "JobFailed"
    assert "public_key is no certificate" in miner.last.message


async def test_a_machine_without_the_relay_is_the_network_s_fault(streaming):
    async with streaming(settings={"relay_image": "executor-tests/none:1"}) as miner:
        pass
    assert miner.last.reason is HordeReason.STREAMING_FAILED
    assert "relay" in miner.last.message


async def test_a_relay_that_cannot_be_started_is_the_network_s_fault(streaming, busybox):
    # An image without an entrypoint: the relay's arguments are no command in it.
    async with streaming(settings={"relay_image": busybox}) as miner:
        pass
    assert miner.last.reason is HordeReason.STREAMING_FAILED
    assert f"EXECUTOR_RELAY_IMAGE={busybox}" in miner.last.message


async def test_a_proxy_that_dies_is_the_network_s_fault(streaming):
    async with streaming() as miner:
        await miner.receives(StreamingReady)
        (proxy,) = proxies()
        proxy.kill()
    assert miner.last.reason is HordeReason.STREAMING_FAILED


async def test_the_proxy_has_no_rights_of_root(streaming):
    async with streaming() as miner:
        ready = await miner.receives(StreamingReady)
        (proxy,) = proxies()
        assert 0 not in proxy.uids()
        assert 0 not in proxy.gids()
        async with client(ready.port, ready.public_key, USER) as asks:
            await asks.get("/cgi-bin/terminate")


async def test_the_job_s_whole_network_is_a_loopback_shared_with_the_relay(streaming):
    async with streaming() as miner:
        ready = await miner.receives(StreamingReady)
        inspected = {}
        for name in ("relay", "job"):
            shown = subprocess.run(
                ["docker", "inspect", f"horde-{id_of(TOKEN)}-{name}"],
                capture_output=True,
                check=True,
            )
            inspected[name] = json.loads(shown.stdout)[0]
        async with client(ready.port, ready.public_key, USER) as asks:
            await asks.get("/cgi-bin/terminate")
    relay, job = inspected["relay"], inspected["job"]
    assert relay["HostConfig"]["NetworkMode"] == "none"
    assert job["HostConfig"]["NetworkMode"] == f"container:{relay['Id']}"
    assert [bind.split(":")[1] for bind in relay["HostConfig"]["Binds"]] == ["/relay"]
    assert not any("/relay" in bind for bind in job["HostConfig"]["Binds"])
    for one in inspected.values():
        assert one["HostConfig"]["CapDrop"] == ["ALL"]
        assert not one["HostConfig"]["CapAdd"]


async def test_a_job_that_the_engine_does_not_make_leaves_no_relay(streaming, engine, busybox):
    image = await engine.image(busybox)
    name = job_container(id_of(TOKEN))
    # Not one of ours; it only has the name that the job's container is to have.
    in_the_way = await engine.create(ContainerSpec(name, image.id, ["true"], [], "", {}))
    try:
        async with streaming() as miner:
            pass
    finally:
        await in_the_way.remove()
    assert miner.last.reason == HordeReason.GENERIC_ERROR
