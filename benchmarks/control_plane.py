"""Jobs per second through the whole network without the containers, with 1, 10 and 100 users.

All processes are the real ones, executors included; only the container engine is replaced, by one
whose containers end as soon as they start. Users are tasks of one client: each submits its next
job when its last one has ended.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks import instant_engine, processes
from benchmarks.job_latency import Network
from localnet.network_dir import NetworkDir

TARGET_PER_SECOND = 60


async def measure(network: Network, users: int, seconds: float) -> tuple[float, list[float]]:
    """Jobs per second with so many users, and how long each job took in milliseconds."""
    took: list[float] = []
    began = time.perf_counter()

    async def user() -> None:
        while time.perf_counter() - began < seconds:
            took.append(await network.job())

    await asyncio.gather(*(user() for _ in range(users)))
    return len(took) / (time.perf_counter() - began), took


async def main(network: Network, home: NetworkDir, seconds: float) -> None:
    """Warm up, then measure each number of users and print a line for it."""
    await measure(network, 4, 2.0)
    print("\nControl plane (container engine replaced)")
    for users in (1, 10, 100):
        idle = processes.costs(home)
        rate, took = await measure(network, users, seconds)
        busy = processes.costs(home)
        spent = processes.cpu_seconds(idle, busy) / len(took)
        took.sort()
        print(
            f"  {users:3} users: {rate:5.1f} jobs/s (target {TARGET_PER_SECOND})"
            f"   median {statistics.median(took):7.1f} ms   p95 {took[len(took) * 95 // 100]:7.1f}"
            f"   CPU {spent * 1000:5.1f} ms per job"
        )
    processes.report(idle, busy, len(took))


def serve(socket: Path) -> None:
    """Run the replaced engine in a process of its own."""
    asyncio.run(instant_engine.main(socket))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=15, help="per number of users")
    parser.add_argument("--executors", type=int, default=4, help="of the miner")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="control-plane-") as folder:
        socket = Path(folder) / "engine.sock"
        engine = multiprocessing.Process(target=serve, args=(socket,), daemon=True)
        engine.start()
        # Read by the miner's executors, which inherit them.
        os.environ["EXECUTOR_DOCKER_URL"] = f"unix://{socket}"
        os.environ["EXECUTOR_ALLOW_UNCONFINED"] = "true"
        place = Path(folder) / "network"
        place.mkdir()
        miner = {"EXECUTORS": json.dumps({"always_on.test": chosen.executors})}
        (place / "settings.json").write_text(json.dumps({"miner": miner}))
        with processes.network(place) as running:
            network = Network(processes.client(running))
            asyncio.run(main(network, running, chosen.seconds))
        engine.terminate()
