"""Measures how fast a cancelled job ends, through the whole network."""

import argparse
import asyncio
import contextlib
import json
import math
import statistics
import time
from collections.abc import AsyncIterator

from benchmarks import processes
from compute_horde_sdk.v1 import ComputeHordeClient, ComputeHordeJobSpec, ExecutorClass
from localnet.identities import ensure_identity
from localnet.network_dir import NetworkDir

IMAGE = "computehorde/busybox"
MUST_SECONDS = 2.0


def spec() -> ComputeHordeJobSpec:
    """A job that ignores SIGTERM and runs until it is killed."""
    return ComputeHordeJobSpec(
        executor_class=ExecutorClass.always_on__test,
        job_namespace="SN12.bench",
        docker_image=IMAGE,
        args=["sh", "-c", "trap '' TERM; sleep 100"],
        download_time_limit_sec=10,
        execution_time_limit_sec=120,
        upload_time_limit_sec=10,
    )


class ContainerEvents:
    """Times at which the containers of one owner started, died and were removed (docker events)."""

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self.started = asyncio.Event()
        self.died: asyncio.Future[float] = asyncio.Future()
        self.removed: asyncio.Future[float] = asyncio.Future()

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator["ContainerEvents"]:
        """Follow the events while the block runs."""
        label = f"label=compute_horde.owner={self._owner}"
        process = await asyncio.create_subprocess_exec(
            *("docker", "events", "--filter", label, "--filter", "type=container"),
            *("--format", "{{json .}}"),
            stdout=asyncio.subprocess.PIPE,
        )
        reading = asyncio.create_task(self._read(process))
        try:
            yield self
        finally:
            process.terminate()
            await process.wait()
            await reading

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout
        async for line in process.stdout:
            action, now = json.loads(line)["Action"], time.perf_counter()
            if action == "start":
                self.started.set()
            elif action == "die" and not self.died.done():
                self.died.set_result(now)
            elif action == "destroy" and not self.removed.done():
                self.removed.set_result(now)


async def cancel_one_job(client: ComputeHordeClient, owner: str) -> tuple[float, float, float]:
    """Cancel one job; returns seconds until end known here, container dead, container removed."""
    async with ContainerEvents(owner).watching() as events:
        job = await client.create_job(spec())
        await asyncio.wait_for(events.started.wait(), 60)
        # Wait for the job meanwhile, as a program that cancels would.
        ending = asyncio.create_task(job.wait(timeout=60))
        await asyncio.sleep(0.5)
        began = time.perf_counter()
        await job.cancel()
        await ending
        known = time.perf_counter()
        died = await asyncio.wait_for(events.died, 60)
        removed = await asyncio.wait_for(events.removed, 60)
    if job.status != "cancelled":
        raise SystemExit(f"job {job.uuid} ended {job.status}: {job.error}")
    return known - began, died - began, removed - began


def line(name: str, values: list[float]) -> str:
    """A line with median, 95th percentile and maximum, in ms."""
    ordered = sorted(values)
    p95 = ordered[math.ceil(0.95 * len(ordered)) - 1]
    verdict = "ok" if p95 < MUST_SECONDS else "TOO SLOW"
    return (
        f"  {name:28} median {statistics.median(ordered) * 1000:7.0f} ms   p95 {p95 * 1000:7.0f} ms"
        f"   worst {ordered[-1] * 1000:7.0f} ms   {verdict}"
    )


async def main(home: NetworkDir, jobs: int) -> None:
    """Measure a running localnet."""
    client, owner = processes.client(home), ensure_identity(home, "miner").hotkey
    await cancel_one_job(client, owner)
    taken = [await cancel_one_job(client, owner) for _ in range(jobs)]
    print(f"\nFrom `await job.cancel()`, {jobs} jobs (must: p95 below {MUST_SECONDS:g} s)")
    names = ("end known at the SDK", "container dead", "container removed")
    for name, values in zip(names, zip(*taken, strict=True), strict=True):
        print(line(name, list(values)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=20)
    chosen = parser.parse_args()
    with processes.network() as running:
        asyncio.run(main(running, chosen.jobs))
