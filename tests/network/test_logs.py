"""What a job prints is read while it prints it, whatever dies meanwhile."""

import asyncio
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from compute_horde_sdk.v1 import ComputeHordeJob
from localnet.state import read
from tests.network.running import BUSYBOX, Running, shell, until

LINES = 100_000
BATCHES = 100
KILLS = 10
MEBIBYTE = 2**20
# Numbered lines, in batches spread over the time of the test.
NUMBERED = """
n=0
while [ $n -lt %d ]; do
    seq $((n + 1)) $((n + %d))
    n=$((n + %d))
    sleep %s
done
"""


def numbered(seconds: float) -> str:
    size = LINES // BATCHES
    return NUMBERED % (LINES, size, size, seconds / BATCHES)


def all_lines() -> str:
    return "".join(f"{number}\n" for number in range(1, LINES + 1))


async def cli(network: Running, *words: str) -> Process:
    """The real command, as the local user."""
    command = [sys.executable, "-m", "compute_horde_sdk", *words]
    whom = ["--env-file", str(network.home.env_file)]
    command[4:4] = whom
    return await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE)


@asynccontextmanager
async def followed(network: Running, uuid: str, *words: str) -> AsyncIterator[Process]:
    reader = await cli(network, "logs", "-f", *words, uuid)
    try:
        yield reader
    finally:
        if reader.returncode is None:
            reader.kill()
        await reader.communicate()


async def started(network: Running, script: str, **changes: Any) -> ComputeHordeJob:
    return await network.client().create_job(shell(script, **changes))


async def log_of(job: ComputeHordeJob, *, follow: bool = False) -> str:
    return "".join([piece.text async for piece in job.logs(follow)])


async def test_lines_are_told_while_the_job_still_runs(network: Running) -> None:
    job = await started(network, "echo first; echo err >&2; sleep 3; echo last")
    pieces = []
    async for piece in job.logs():
        if not pieces:
            await job.refresh_from_facilitator()
            assert job.status.is_in_progress()
        pieces.append(piece)
    assert sorted((piece.stream, piece.text) for piece in pieces) == [
        ("stderr", "err\n"),
        ("stdout", "first\n"),
        ("stdout", "last\n"),
    ]
    assert pieces[-1].text == "last\n"
    assert pieces[-1].cursor == len("first\nerr\nlast\n")
    await job.wait()
    assert (job.result.stdout, job.result.stderr) == ("first\nlast\n", "err\n")


async def test_run_prints_live_and_once(network: Running) -> None:
    script = "echo first; echo err >&2; sleep 3; echo last"
    run = await cli(network, "run", BUSYBOX, "sh", "-c", script)
    assert run.stdout is not None
    assert await asyncio.wait_for(run.stdout.readline(), 60) == b"first\n"
    assert run.returncode is None
    began = time.monotonic()
    rest, err = await run.communicate()
    assert time.monotonic() - began > 1, "the first line came only with the last"
    assert (run.returncode, rest) == (0, b"last\n")
    assert err.decode().count("err\n") == 1


async def test_a_log_is_read_on_from_any_byte(network: Running) -> None:
    job = await network.run(shell("printf 'gr\\303\\266n\\nblau\\n'"))
    for start in (0, 3, 4, 11):
        reader = await cli(network, "logs", job.uuid, "--from", str(start))
        out, err = await reader.communicate()
        assert reader.returncode == 0, err
        whole = "grön\nblau\n".encode()
        # Inside of a character: from its beginning.
        assert out == whole[start - (start == 3) :]
    reader = await cli(network, "logs", job.uuid, "--from", "1000")
    _, err = await reader.communicate()
    assert reader.returncode == 125
    assert b"the log has 11 bytes so far" in err


async def killed(network: Running, name: str, times: int, pause: float) -> None:
    for _ in range(times):
        before = network.pid(name)
        os.kill(before, signal.SIGKILL)
        await until(partial(is_another, network, name, before), f"{name} is back", 60)
        await until(partial(answers, network), "the facilitator answers", 60)
        await asyncio.sleep(pause)


def is_another(network: Running, name: str, before: int) -> bool:
    return any(one.name == name and one.pid not in {None, before} for one in read(network.home))


def answers(network: Running) -> bool:
    url = network.env["FACILITATOR_URL"].rstrip("/") + "/auth/nonce"
    try:
        return httpx.get(url, timeout=1).is_success
    except httpx.HTTPError:
        return False


def has_grown(file: Path, size: int) -> bool:
    return size_of(file) > size


def size_of(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


async def test_all_lines_arrive_whatever_is_killed(network: Running, tmp_path: Path) -> None:
    file = tmp_path / "log"
    job = await started(network, numbered(35), execution_time_limit_sec=100)
    killing = asyncio.create_task(killed(network, "facilitator", KILLS, 1.5))
    for number in range(KILLS):
        async with followed(network, job.uuid, "-o", str(file)):
            await until(
                partial(has_grown, file, size_of(file)), f"the file grows, time {number}", 60
            )
    await killing
    async with followed(network, job.uuid, "-o", str(file)) as last:
        _, err = await asyncio.wait_for(last.communicate(), 120)
        assert last.returncode == 0, err
    await job.wait(60)
    assert job.status == "completed", job.error
    assert file.read_text() == all_lines() == await log_of(job)
