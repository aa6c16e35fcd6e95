"""What a large file costs an executor: the memory of a real one that fetches and sends it.

Server and file are on this machine; a real container copies the file from /volume to /output.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

import psutil
from aiohttp import web

from compute_horde.protocol.job import JobFinished, Timing
from compute_horde.uploads import FilePut
from compute_horde.volumes import SingleFileVolume
from localnet import images
from tests.executor.peer import TOKEN, Miner, offer, payload, serving

MIB = 2**20
IMAGE = "computehorde/busybox"
SECONDS = 300


class Store:
    """Serves `size` bytes of a sparse file, and counts what it is sent."""

    def __init__(self, folder: Path, size: int) -> None:
        self.path = folder / "big"
        with self.path.open("wb") as file:
            file.truncate(size)
        self.taken = 0

    async def start(self) -> tuple[web.AppRunner, str]:
        app = web.Application()
        app.router.add_get("/big", self._give)
        app.router.add_put("/big", self._take)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner, f"http://127.0.0.1:{runner.addresses[0][1]}/big"

    async def _give(self, request: web.Request) -> web.FileResponse:
        return web.FileResponse(self.path)

    async def _take(self, request: web.Request) -> web.Response:
        async for data in request.content.iter_any():
            self.taken += len(data)
        return web.Response(text="taken")


async def executor(address: str, work_dir: Path) -> asyncio.subprocess.Process:
    """A process of its own, as an operator starts it."""
    settings = {
        "EXECUTOR_MINER_ADDRESS": address,
        "EXECUTOR_TOKEN": TOKEN,
        "EXECUTOR_WORK_DIR": str(work_dir),
        "EXECUTOR_ALLOW_PRIVATE_URLS": "true",
        "EXECUTOR_PULL_POLICY": "never",
    }
    command = (sys.executable, "-m", "executor")
    return await asyncio.create_subprocess_exec(*command, env=os.environ | settings)


async def watch(pid: int, memory: list[int]) -> None:
    """Note what the process holds, often."""
    while True:
        memory.append(psutil.Process(pid).memory_info().rss)
        await asyncio.sleep(0.02)


async def moved(size: int) -> tuple[int, int, float]:
    """Memory of the executor before and at most, and seconds of the whole job."""
    images.build()
    with tempfile.TemporaryDirectory(prefix="ch-bench-") as folder:
        store = Store(Path(folder), size)
        runner, url = await store.start()
        timing = Timing(
            allowed_leeway=5,
            download_time_limit=SECONDS,
            execution_time_limit=SECONDS,
            upload_time_limit=SECONDS,
            streaming_start_time_limit=0,
        )
        job = payload(
            IMAGE,
            *("cp", "/volume/big", "/output/big"),
            volume=SingleFileVolume(url=url, relative_path="big"),
            output_upload=FilePut(url=url, relative_path="big"),
        )
        async with serving(Miner(after_ready=job)) as miner:
            process = await executor(miner.address, Path(folder) / "work")
            await asyncio.wait_for(miner.connected.wait(), 30)
            before, memory = psutil.Process(process.pid).memory_info().rss, [0]
            watching = asyncio.create_task(watch(process.pid, memory))
            began = time.perf_counter()
            await miner.socket.send(offer(IMAGE, executor_timing=timing).encode())
            await asyncio.wait_for(miner.hung_up.wait(), 3 * SECONDS)
            took = time.perf_counter() - began
            watching.cancel()
            await process.wait()
        await runner.cleanup()
    if not isinstance(miner.last, JobFinished) or store.taken != size:
        raise SystemExit(f"the job did not go well: {str(miner.last)[:500]}")
    return before, max(memory), took


def main(size: int) -> None:
    before, most, took = asyncio.run(moved(size))
    print(f"A file of {size / MIB:.0f} MiB downloaded and uploaded in {took:.1f} s")
    print(f"  executor, waiting    {before / MIB:6.1f} MiB")
    print(f"  executor, at most    {most / MIB:6.1f} MiB   (target 200)")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=1024, help="size of the file")
    main(parser.parse_args().mib * MIB)
