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
from localnet.supervisor.state_file import read
from tests.network.running import BUSYBOX, Running, memory, shell, until

LINES = 100_000
BATCHES = 100
KILLS = 10
MEBIBYTE = 2**20
FLOOD_BYTES = 200 * MEBIBYTE
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
    job = await started(network, "echo first; echo err >&2; sleep 6; echo last")
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
    script = "echo first; echo err >&2; sleep 6; echo last"
    run = await cli(network, "run", BUSYBOX, "sh", "-c", script)
    assert run.stdout is not None
    assert await asyncio.wait_for(run.stdout.readline(), 120) == b"first\n"
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
    """Every other time as soon as it is back, the others after it has worked for a moment."""
    before = 0
    for number in range(times):
        await until(partial(is_another, network, name, before), f"{name} is back", 60)
        if number % 2:
            await until(partial(answers, network), "the facilitator answers", 60)
            await asyncio.sleep(pause)
        before = network.pid(name)
        os.kill(before, signal.SIGKILL)


def is_another(network: Running, name: str, before: int) -> bool:
    return any(one.name == name and one.pid not in {None, before} for one in read(network.home))


def answers(network: Running) -> bool:
    url = network.env["FACILITATOR_URL"].rstrip("/") + "/auth/nonce"
    try:
        return httpx.get(url, timeout=5).is_success
    except httpx.HTTPError:
        return False


async def grown(file: Path, *, within_seconds: float) -> None:
    """Wait until a reader has written something, unless it takes too long."""

    def size() -> int:
        return file.stat().st_size if file.exists() else 0

    before, give_up = size(), time.monotonic() + within_seconds
    while size() == before and time.monotonic() < give_up:
        await asyncio.sleep(0.05)


async def test_all_lines_arrive_whatever_is_killed(network: Running, tmp_path: Path) -> None:
    file = tmp_path / "log"
    job = await started(network, numbered(25), execution_time_limit_sec=100)
    killing = asyncio.create_task(killed(network, "facilitator", KILLS, 0.5))
    for _ in range(KILLS):
        async with followed(network, job.uuid, "-o", str(file)):
            await grown(file, within_seconds=5)
    await killing
    async with followed(network, job.uuid, "-o", str(file)) as last:
        _, err = await asyncio.wait_for(last.communicate(), 150)
        assert last.returncode == 0, err
    await job.wait(150)
    assert job.status == "completed", job.error
    assert file.read_text() == all_lines() == await log_of(job)


async def test_a_restarted_validator_fills_in_what_it_missed(network: Running) -> None:
    job = await started(network, numbered(6))
    pieces = job.logs()
    texts = [(await anext(pieces)).text]
    network.kill("validator-listen")
    texts += [piece.text async for piece in pieces]
    await job.wait(150)
    assert job.status == "completed", job.error
    assert "".join(texts) == all_lines() == await log_of(job)


async def test_a_flood_ends_and_stays_within_bounds(network: Running) -> None:
    servers = ("miner", "validator-listen", "facilitator")
    before = {name: memory(network.pid(name)) for name in servers}
    flood = f"echo first; yes | head -c {FLOOD_BYTES}; echo last >&2"
    job = await started(network, flood, execution_time_limit_sec=100)
    most = dict.fromkeys(servers, 0)

    def note() -> None:
        for name in servers:
            most[name] = max(most[name], memory(network.pid(name)))

    ending = asyncio.create_task(job.wait(150))
    while not ending.done():
        note()
        await asyncio.sleep(0.1)
    await ending
    assert job.status == "completed", job.error
    pieces = [piece async for piece in job.logs(follow=False)]
    note()
    for name in servers:
        assert most[name] - before[name] < 192 * MEBIBYTE, name
    assert any(piece.is_gap for piece in pieces)
    assert sum(len(piece.text) for piece in pieces) < FLOOD_BYTES
    assert pieces[0].text.startswith("first\n")
    again = await network.run(shell("echo again"))
    assert await log_of(again) == again.result.stdout == "again\n"
