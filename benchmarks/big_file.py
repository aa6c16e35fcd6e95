"""Measures the memory of a real executor that downloads and uploads a large file.

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
from tests.peers.executors_miner import TOKEN, Miner, offer, payload, serving

MIB = 2**20
IMAGE = "computehorde/busybox"
SECONDS = 300


class FileServer:
    """HTTP server of a sparse file of `size` bytes that counts the uploaded bytes."""

    def __init__(self, folder: Path, size: int) -> None:
        self.path = folder / "big"
        with self.path.open("wb") as file:
            file.truncate(size)
        self.received_bytes = 0

    async def start(self) -> tuple[web.AppRunner, str]:
        app = web.Application()
        app.router.add_get("/big", self._download)
        app.router.add_put("/big", self._upload)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner, f"http://127.0.0.1:{runner.addresses[0][1]}/big"

    async def _download(self, request: web.Request) -> web.FileResponse:
        return web.FileResponse(self.path)

    async def _upload(self, request: web.Request) -> web.Response:
        async for data in request.content.iter_any():
            self.received_bytes += len(data)
        return web.Response(text="taken")


async def executor(address: str, work_dir: Path) -> asyncio.subprocess.Process:
    """Start an executor process as an operator would."""
    settings = {
        "EXECUTOR_MINER_ADDRESS": address,
        "EXECUTOR_TOKEN": TOKEN,
        "EXECUTOR_WORK_DIR": str(work_dir),
        "EXECUTOR_ALLOW_PRIVATE_URLS": "true",
        "EXECUTOR_PULL_POLICY": "never",
        "EXECUTOR_LOCAL_IMAGES": "computehorde/*",
    }
    command = (sys.executable, "-m", "executor")
    return await asyncio.create_subprocess_exec(*command, env=os.environ | settings)


async def sample_memory(pid: int, memory: list[int]) -> None:
    """Append the process's resident memory in bytes to `memory`, 50 times a second."""
    while True:
        memory.append(psutil.Process(pid).memory_info().rss)
        await asyncio.sleep(0.02)


async def measure(size: int) -> tuple[int, int, float]:
    """Run the job; returns the executor's memory before and at most, and the job's seconds."""
    images.build()
    with tempfile.TemporaryDirectory(prefix="ch-bench-") as folder:
        server = FileServer(Path(folder), size)
        runner, url = await server.start()
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
            sampling = asyncio.create_task(sample_memory(process.pid, memory))
            began = time.perf_counter()
            assert miner.socket is not None
            await miner.socket.send(offer(IMAGE, executor_timing=timing).encode())
            await asyncio.wait_for(miner.hung_up.wait(), 3 * SECONDS)
            took = time.perf_counter() - began
            sampling.cancel()
            await process.wait()
        await runner.cleanup()
    if not isinstance(miner.last, JobFinished) or server.received_bytes != size:
        raise SystemExit(f"the job failed: {str(miner.last)[:500]}")
    return before, max(memory), took


def main(size: int) -> None:
    before, most, took = asyncio.run(measure(size))
    print(f"A file of {size / MIB:.0f} MiB downloaded and uploaded in {took:.1f} s")
    print(f"  executor, waiting    {before / MIB:6.1f} MiB")
    print(f"  executor, at most    {most / MIB:6.1f} MiB   (target 200)")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=1024, help="size of the file")
    main(parser.parse_args().mib * MIB)
