"""Jobs that do not end, and jobs that hinder the cleanup."""

import asyncio
import os
import secrets
import sys
from pathlib import Path

import pytest
from aiohttp import web

from compute_horde.protocol.job import JobFailed, JobFinished
from compute_horde.uploads import FilePut, MultiUpload, ZipPut
from compute_horde.vocabulary import FailureReason
from executor.config import MIB
from executor.sandbox import open_files
from tests.executor.conftest import Site
from tests.peers.executors_miner import TIMING, Miner, offer, payload, serving

pytestmark = pytest.mark.docker

# So many containers at once start slowly.
SHORT = 5
BOMBS = {
    "explodes": "b() { b | b & }; b; sleep 60",
    "piles up": "while true; do sleep 60 & done",
    "keeps on": "while true; do sh -c 'while true; do sleep 60 & done'; done",
}
# Of a job that prints without end; what it is made of needs half of it by itself.
EXECUTOR_MEMORY = 200 * MIB
STUBBORN = {
    "sleeps": "sleep 60",
    "ignores signals": "trap '' TERM INT HUP QUIT; while true; do sleep 1; done",
    "reads a fifo": "mkfifo /tmp/fifo; cat /tmp/fifo",
    "writes to a fifo": "mkfifo /output/fifo; echo x >/output/fifo",
    "stops its children": "sleep 60 & kill -STOP $!; wait",
    "spins": "while true; do :; done",
    "prints lines": "yes",
    "prints no line": "cat /dev/zero",
    "prints errors": "cat /dev/zero >&2",
    "closes its output": "exec >&- 2>&-; sleep 60",
    "leaves its group": "setsid sleep 60 & setsid sleep 60; sleep 60",
}


async def test_a_job_that_does_not_end_is_ended(cell, nobody):
    trials = await cell.endures_all(nobody, STUBBORN, seconds=SHORT)
    assert {trial.answer.reason for trial in trials.values()} == {FailureReason.TIMEOUT}
    messages = {trial.message for trial in trials.values()}
    assert all("timed out during execution, after" in text for text in messages)


async def test_a_fork_bomb_harms_only_itself(cell, nobody):
    trials = await cell.endures_all(nobody, BOMBS, seconds=5, settings={"pids": 64, "cpus": 0.5})
    assert {trial.kind for trial in trials.values()} == {JobFailed}
    assert "its limit was 64 processes and threads" in trials["piles up"].message
    assert "its limit of 64 processes and threads" in trials["keeps on"].message


async def test_what_a_job_leaves_running_ends_with_it(cell, nobody):
    line = "setsid sleep 600 & (sleep 600 >&- 2>&- &) ; sleep 600 >/output/x & echo done"
    trial = await cell.endures(nobody, line)
    assert (trial.kind, trial.printed) == (JobFinished, "done\n")


async def test_killing_everything_it_sees_kills_only_itself(cell, nobody):
    lines = {"killer": "trap '' TERM; kill -9 -1; sleep 1; kill -9 1; exit 3", "other": "sleep 2"}
    trials = await cell.endures_all(nobody, lines)
    assert trials["killer"].kind is JobFailed
    assert trials["other"].kind is JobFinished


async def test_neighbours_find_nothing_of_each_other(cell, nobody):
    secret = "for i in /tmp /dev/shm /output /volume; do echo hush >$i/secret; done; sleep 2"
    look = "sleep 1; find / -name secret 2>/dev/null; cat /proc/[0-9]*/cmdline | grep -c hush; true"
    trials = await cell.endures_all(nobody, {"keeps": secret, "looks": look})
    assert trials["keeps"].kind is JobFinished
    # It finds its own words, in those who look for them, and nothing else.
    assert "secret" not in trials["looks"].printed


@pytest.fixture
async def store():
    """A server that accepts any upload."""
    site = Site()
    await site.start()
    yield site
    await site.stop()


async def taken(request):
    return web.Response()


TRAPS = {
    "link": "ln -s {canary} /output/{name}",
    "folder": "mkdir -p /output/{name}/x/y",
    "fifo": "mkfifo /output/{name}",
    "link to a folder": "ln -s {canary}/.. /output/{name}",
}


@pytest.mark.parametrize("trap", TRAPS)
async def test_traps_in_the_place_of_our_files_catch_nothing(cell, nobody, store, tmp_path, trap):
    canary = tmp_path / "canary"
    canary.write_text("untouched")
    store.answers["/zip"] = taken
    lay = TRAPS[trap].format(canary=canary, name="stdout.txt")
    also = TRAPS[trap].format(canary=canary, name="other")
    upload = ZipPut(output_upload_type="zip_and_http_put", url=store / "zip")
    trial = await cell.endures(nobody, f"{lay}; {also}; echo hello", output_upload=upload)
    assert trial.kind is JobFinished
    [(_, _, _, sent)] = store.asked
    assert b"hello" in sent
    assert b"untouched" not in sent
    assert canary.read_text() == "untouched"


@pytest.mark.parametrize("trap", TRAPS)
async def test_a_trap_in_the_place_of_an_upload_is_the_job_s_fault(
    cell, nobody, store, tmp_path, trap
):
    canary = tmp_path / "canary"
    canary.write_text("untouched")
    store.answers["/file"] = taken
    one = FilePut(output_upload_type="single_file_put", url=store / "file", relative_path="x")
    upload = MultiUpload(output_upload_type="multi_upload", uploads=[one], system_output=None)
    lay = TRAPS[trap].format(canary=canary, name="x")
    trial = await cell.endures(nobody, lay, output_upload=upload)
    assert trial.answer.reason is FailureReason.UPLOAD_FAILED
    assert "cannot be read as a regular file" in trial.message
    assert store.asked == []


async def test_traps_among_the_artifacts_are_left_out(cell, nobody, tmp_path):
    canary = tmp_path / "canary"
    canary.write_text("untouched")
    line = f"cd /a; ln -s {canary} link; mkfifo fifo; mkdir folder; echo ok >ok"
    trial = await cell.endures(nobody, line, artifacts_dir="/a")
    assert list(trial.answer.artifacts) == ["/a/ok"]


async def test_what_it_leaves_is_removed_whatever_its_rights_and_depth(cell, nobody, as_root):
    deep = "i=0; while [ $i -lt 600 ]; do mkdir longer; cd longer; i=$((i+1)); done; touch x"
    line = f"cd /output; touch a; mkdir shut; touch shut/x; chmod 0 shut a; cd /volume; {deep}"
    for image in (nobody, as_root):
        assert (await cell.endures(image, line)).kind is JobFinished


async def test_an_endless_printer_costs_its_executor_little_memory(nobody, tmp_path):
    timing = TIMING.model_copy(update={"execution_time_limit": 3, "allowed_leeway": 0})
    full = payload(nobody, "sh", "-c", "cat /dev/zero & cat /dev/zero >&2")
    async with serving(Miner(offer(nobody, executor_timing=timing), after_ready=full)) as miner:
        running = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "executor"),
            env=os.environ
            | {
                "EXECUTOR_TOKEN": secrets.token_hex(8),
                "EXECUTOR_OWNER": "printer",
                "EXECUTOR_WORK_DIR": str(tmp_path / "work"),
                "EXECUTOR_MINER_ADDRESS": miner.address,
                "EXECUTOR_LOCAL_IMAGES": "executor-tests/*",
                "EXECUTOR_MEMORY_BYTES": str(64 * MIB),
            },
            stderr=asyncio.subprocess.DEVNULL,
        )
        most, disk = await _most(running.pid, tmp_path / "work", miner)
        assert await asyncio.wait_for(running.wait(), 20) == 0
    assert miner.last.reason is FailureReason.TIMEOUT
    assert most < EXECUTOR_MEMORY
    assert 0 < disk <= 2 * 64 * MIB
    assert not list((tmp_path / "work").glob("ch-*"))


async def _most(pid: int, work: Path, miner: Miner) -> tuple[int, int]:
    """The executor's highest memory, and its disk space in deleted files, until it answered."""
    memory = disk = 0
    while not miner.hung_up.is_set():
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        sizes = [int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")]
        memory = max([memory, *sizes])
        if work.exists():
            disk = max(disk, open_files.held_files([pid], work.stat().st_dev, most=10_000).bytes)
        await asyncio.sleep(0.1)
    return memory, disk
