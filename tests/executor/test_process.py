"""One process runs one job and reports the outcome as its exit code."""

import asyncio
import contextlib
import os
import signal
import sys

import pytest

from executor import cleanup, process
from executor.process import id_of
from executor.sandbox.engine import EXECUTOR, Engine
from tests.peers.executors_miner import TOKEN, Miner, offer, payload, serving

pytestmark = pytest.mark.docker


async def started(tmp_path, **env):
    settings = {
        "EXECUTOR_LOCAL_IMAGES": "executor-tests/*",
        "EXECUTOR_WORK_DIR": str(tmp_path / "work"),
        "EXECUTOR_OWNER": "executor-tests",
        "EXECUTOR_MEMORY_BYTES": "100000000",
        "EXECUTOR_TOKEN": TOKEN,
    }
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "executor"),
        env=os.environ | settings | env,
        stderr=asyncio.subprocess.PIPE,
    )


async def ended(running):
    _, log_text = await asyncio.wait_for(running.communicate(), 20)
    return running.returncode, log_text.decode()


def left(tmp_path):
    return list((tmp_path / "work").glob("ch-*"))


async def test_an_executor_does_one_job_and_is_gone(tmp_path, busybox):
    full = payload(busybox, "echo", "hi")
    async with serving(Miner(offer(busybox), after_ready=full)) as miner:
        running = await started(tmp_path, EXECUTOR_MINER_ADDRESS=miner.address)
        assert (await ended(running))[0] == process.DONE
        assert miner.last.docker_process_stdout == "hi\n"
    assert left(tmp_path) == []


async def test_an_idle_executor_stops_when_told(tmp_path):
    async with serving(Miner()) as miner:
        running = await started(tmp_path, EXECUTOR_MINER_ADDRESS=miner.address)
        await asyncio.wait_for(miner.connected.wait(), 20)
        assert len(left(tmp_path)) == 1
        running.send_signal(signal.SIGTERM)
        assert (await ended(running))[0] == process.STOPPED
    assert left(tmp_path) == []


async def test_an_idle_executor_ends_with_its_miner(tmp_path):
    async with serving(Miner()) as miner:
        running = await started(tmp_path, EXECUTOR_MINER_ADDRESS=miner.address)
        await asyncio.wait_for(miner.connected.wait(), 20)
        await miner.socket.close()
        assert (await ended(running))[0] == process.LOST
    assert left(tmp_path) == []


async def test_a_miner_that_starts_late_is_waited_for(config, work, engine, monkeypatch, busybox):
    monkeypatch.setattr(process, "FIRST_WAIT_SECONDS", 0.05)
    real, tries = process.open_socket, []

    def flaky(url, link):
        tries.append(url)
        return real(url if len(tries) == 3 else "ws://127.0.0.1:1/", link)

    monkeypatch.setattr(process, "open_socket", flaky)
    async with serving(Miner(offer(busybox), after_ready=payload(busybox, "true"))) as miner:
        settings = config.model_copy(update={"miner_address": miner.address})
        await process.run_executor(settings, TOKEN, id_of(TOKEN), work)
    assert len(tries) == 3


async def test_an_executor_without_an_engine_says_so(tmp_path):
    running = await started(tmp_path, EXECUTOR_DOCKER_URL=f"unix://{tmp_path}/none.sock")
    code, log_text = await ended(running)
    assert code == process.BROKEN
    assert "container engine lost" in log_text
    assert "Traceback" not in log_text


async def test_an_engine_without_the_runtime_that_is_asked_for_is_no_place_for_jobs(tmp_path):
    async with serving(Miner()) as miner:
        address = {"EXECUTOR_MINER_ADDRESS": miner.address}
        running = await started(tmp_path, EXECUTOR_JOB_RUNTIME="no-such-runtime", **address)
        code, log_text = await ended(running)
        # The miner never believes that this executor could take a job.
        assert not miner.connected.is_set()
    assert code == process.MISCONFIGURED
    assert "EXECUTOR_JOB_RUNTIME is 'no-such-runtime'" in log_text
    assert "Traceback" not in log_text
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({"EXECUTOR_TOKEN": ""}, "EXECUTOR_TOKEN"),
        ({"EXECUTOR_PULL_POLICY": "sometimes"}, "EXECUTOR_PULL_POLICY"),
        ({"EXECUTOR_WORK_DIR": "/proc/none"}, "EXECUTOR_WORK_DIR"),
    ],
)
async def test_a_wrong_setting_is_named(tmp_path, env, expected):
    code, log_text = await ended(await started(tmp_path, **env))
    assert code == 2
    assert expected in log_text
    assert "Traceback" not in log_text


def test_the_shown_id_does_not_give_the_token_away():
    assert id_of("token") == "3c469e9d6c5875d3"


@contextlib.asynccontextmanager
async def engine_that_removes_nothing(path):
    """A proxy to the machine's engine that scripts the answers to DELETE."""

    async def pump(reader, writer, refused=None):
        while data := await reader.read(2**16):
            if refused and data.startswith(b"DELETE "):
                refused.write(b"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\n{}")
                continue
            writer.write(data)
        writer.close()

    async def meet(reader, writer):
        ours, theirs = await asyncio.open_unix_connection("/var/run/docker.sock")
        await asyncio.gather(pump(reader, theirs, writer), pump(ours, writer))

    server = await asyncio.start_unix_server(meet, path)
    try:
        yield f"unix://{path}"
    finally:
        server.close()


async def test_a_job_that_cannot_be_removed_is_left_to_the_sweep(tmp_path, busybox, config):
    async with (
        serving(Miner(offer(busybox), after_ready=payload(busybox, "true"))) as miner,
        engine_that_removes_nothing(tmp_path / "engine.sock") as url,
    ):
        env = {"EXECUTOR_MINER_ADDRESS": miner.address, "EXECUTOR_DOCKER_URL": url}
        running = await started(tmp_path, **env)
        assert (await ended(running))[0] == process.UNCLEAN
    # Its directory says that something is left; it is safe to remove once the container is.
    assert len(left(tmp_path)) == 1
    here = config.model_copy(update={"work_dir": tmp_path / "work"})
    assert await cleanup.clean_up(here, [id_of(TOKEN)]) == cleanup.DONE
    assert left(tmp_path) == []
    async with await Engine.connect(None) as engine:
        assert await engine.labelled(EXECUTOR, id_of(TOKEN)) == {}


async def test_being_told_to_stop_does_not_interrupt_the_cleaning():
    """Otherwise a container that the engine does not remove would count as removed."""
    over = asyncio.Event()

    async def cleaning():
        await over.wait()
        raise process.LeftBehindError("the engine does not answer")

    ending = asyncio.create_task(process._uninterrupted(cleaning()))
    for _ in range(3):
        await asyncio.sleep(0)
        ending.cancel()
    await asyncio.sleep(0)
    assert not ending.done()
    over.set()
    with pytest.raises(process.LeftBehindError):
        await ending
