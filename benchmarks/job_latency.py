"""Compares latency and throughput of jobs through the whole network with bare Docker.

Bare and network jobs alternate, so that load on the machine affects both alike.
"""

import argparse
import asyncio
import itertools
import statistics
import subprocess
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable

from benchmarks import processes
from compute_horde_sdk.v1 import (
    ComputeHordeClient,
    ComputeHordeJob,
    ComputeHordeJobSpec,
    ExecutorClass,
)
from localnet.network_dir import NetworkDir

IMAGE = "computehorde/noop"
Timed = Callable[[], Awaitable[float]]


def spec() -> ComputeHordeJobSpec:
    """A job that does nothing."""
    return ComputeHordeJobSpec(
        executor_class=ExecutorClass.always_on__test,
        job_namespace="SN12.bench",
        docker_image=IMAGE,
        download_time_limit_sec=10,
        execution_time_limit_sec=30,
        upload_time_limit_sec=10,
    )


async def bare() -> float:
    """Run the image with `docker run`; returns milliseconds."""
    began = time.perf_counter()
    command = ["docker", "run", "--rm", "--network", "none", IMAGE]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.DEVNULL)
    if await process.wait() != 0:
        raise SystemExit(f"bare docker could not run {IMAGE}")
    return (time.perf_counter() - began) * 1000


class Network:
    """Runs jobs through a running localnet and records the durations of their stages in ms."""

    def __init__(self, client: ComputeHordeClient) -> None:
        self.client = client
        self.stages: dict[str, list[float]] = defaultdict(list)

    async def job(self) -> float:
        """Run one job; returns milliseconds from submission to result."""
        began = time.perf_counter()
        job = await self.client.create_job(spec())
        await job.wait(timeout=120)
        took = (time.perf_counter() - began) * 1000
        if not job.status.is_successful():
            raise SystemExit(f"job {job.uuid} ended {job.status}: {job.error}")
        self._note(job)
        return took

    def _note(self, job: ComputeHordeJob) -> None:
        entries = job.status_history
        for before, after in itertools.pairwise(entries):
            gap = (after.created_at - before.created_at).total_seconds() * 1000
            self.stages[f"{before.status.value} -> {after.status.value}"].append(gap)


async def per_minute(work: Timed, parallel: int, jobs: int) -> float:
    """Jobs per minute with `parallel` jobs at once."""
    left = iter(range(jobs))

    async def worker() -> None:
        for _ in left:
            await work()

    began = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(parallel)))
    return jobs * 60 / (time.perf_counter() - began)


def spread(values: list[float]) -> str:
    """Median, minimum and maximum, as text."""
    return f"{statistics.median(values):7.1f} ms  ({min(values):.0f} to {max(values):.0f})"


async def latency(network: Network, rounds: int) -> None:
    """Alternate bare and network jobs and print both medians."""
    for _ in range(2):
        await bare()
        await network.job()
    network.stages.clear()
    plain, through = [], []
    for _ in range(rounds):
        plain.append(await bare())
        through.append(await network.job())
    print(f"\nLatency, {rounds} jobs each, alternating")
    print(f"  bare docker run --network none   {spread(plain)}")
    print(f"  SDK submit to result             {spread(through)}")
    gap = statistics.median(through) - statistics.median(plain)
    print(f"  difference of medians            {gap:+7.1f} ms   (target +25, must +100)")
    print("\nStages (median, as the facilitator recorded them)")
    for name, values in network.stages.items():
        print(f"  {name:34} {spread(values)}")


async def throughput(network: Network, jobs: int) -> None:
    """Print jobs per minute, bare and through the network, at several degrees of parallelism."""
    print("\nJobs per minute")
    for parallel in (1, 2, 4, 8):
        plain = await per_minute(bare, parallel, jobs)
        through = await per_minute(network.job, parallel, jobs)
        print(
            f"  {parallel} in parallel: bare {plain:5.0f}   network {through:5.0f}"
            f"   {through / plain:4.0%}   (target 90 %, must 50 % up to 4)"
        )


async def main(home: NetworkDir, rounds: int, jobs: int) -> None:
    """Measure a running localnet."""
    network = Network(processes.client(home))
    await network.job()
    idle = processes.costs(home)
    for _ in range(rounds):
        await network.job()
    processes.report(idle, processes.costs(home), rounds)
    await latency(network, rounds)
    await throughput(network, jobs)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="jobs per latency figure")
    parser.add_argument("--jobs", type=int, default=24, help="jobs per throughput figure")
    chosen = parser.parse_args()
    with processes.network() as running:
        asyncio.run(main(running, chosen.rounds, chosen.jobs))
