"""Measures requests per second to a trivial service in a job, through relay and TLS proxy.

Container, relay and proxy are those of a real streaming job; no facilitator, validator or miner
runs. Another process makes the load over connections that are kept open.
"""

import argparse
import asyncio
import multiprocessing
import secrets
import ssl
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import uvloop

from compute_horde.container_names import job_container
from compute_horde.protocol.job import StreamingDetails
from compute_horde.streaming.certificates import new_identity
from executor.config import Config
from executor.sandbox.engine import EXECUTOR, ContainerSpec, Engine
from executor.sandbox.workdir import WorkDir
from executor.streaming.job_service import StreamingService
from localnet import images

TO_HEALTH_SECONDS = 30
REQUEST = b"GET /hello HTTP/1.1\r\nHost: job\r\n\r\n"
# One thread and no framework, so that the service costs little compared to what is measured.
SERVICE = r"""
import asyncio
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\nhello\n"
class Hello(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.received = transport, b""
    def data_received(self, data):
        self.received += data
        while b"\r\n\r\n" in self.received:
            _, self.received = self.received.split(b"\r\n\r\n", 1)
            self.transport.write(ANSWER)
async def main():
    server = await asyncio.get_running_loop().create_server(Hello, "127.0.0.1", 8000)
    await server.serve_forever()
asyncio.run(main())
"""


def host_config() -> dict[str, Any]:
    """Container options that mount this machine's Python, all that the service needs, read-only."""
    mounted = {"/usr", "/lib", "/lib64", sys.base_prefix}
    binds = [f"{path}:{path}:ro" for path in sorted(mounted) if Path(path).exists()]
    return {"CapDrop": ["ALL"], "Binds": binds}


async def load(port: int, tls: ssl.SSLContext, connections: int, seconds: float) -> list[float]:
    """Send requests over `connections` for `seconds`; returns the seconds that each took."""
    took: list[float] = []

    async def send_requests() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
        end = time.perf_counter() + seconds
        while (began := time.perf_counter()) < end:
            writer.write(REQUEST)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise SystemExit(f"answered {head!r}")
            await reader.readexactly(6)
            took.append(time.perf_counter() - began)
        writer.close()

    await asyncio.gather(*(send_requests() for _ in range(connections)))
    return took


def report(port: int, server: str, identity: str, counts: list[int], seconds: float) -> None:
    """Make load with each number of connections and print the results; runs in its own process."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname = False
    tls.load_verify_locations(cadata=server)
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(identity)
        file.flush()
        tls.load_cert_chain(file.name)
    print("connections  requests/s   p50 ms   p99 ms")
    for count in counts:
        took = sorted(uvloop.run(load(port, tls, count, seconds)))
        middle, late = took[len(took) // 2], took[int(len(took) * 0.99)]
        print(f"{count:11}  {len(took) / seconds:10.0f}  {middle * 1000:7.2f}  {late * 1000:7.2f}")


async def measure(work: WorkDir, config: Config, counts: list[int], seconds: float) -> None:
    """Run a streaming job and make load on it from another process."""
    identity, executor_id = new_identity(), work.path.name.removeprefix("ch-")
    details = StreamingDetails(public_key=identity.pem, executor_ip="127.0.0.1")
    over = asyncio.Event()

    async def on_healthy(certificate: str, port: int) -> None:
        print(f"healthy {(time.perf_counter() - began) * 1000:.0f} ms after its start")
        arguments = (port, certificate, identity.key_pem + identity.pem, counts, seconds)
        loading = multiprocessing.get_context("spawn").Process(target=report, args=arguments)
        loading.start()
        await asyncio.to_thread(loading.join)
        over.set()

    async with await Engine.connect(None) as engine, AsyncExitStack() as undoing:
        service = StreamingService(details, executor_id, engine, work, config)
        undoing.push_async_callback(service.close)
        spec = ContainerSpec(
            name=job_container(executor_id),
            image=images.BUSYBOX,
            command=[str(Path(sys.executable).resolve()), "-c", SERVICE],
            env=[f"PYTHONHOME={sys.base_prefix}"],
            user="65534",
            labels={EXECUTOR: executor_id},
            host=host_config() | {"NetworkMode": await service.network()},
        )
        job = await engine.create(spec)
        undoing.push_async_callback(job.remove)
        began = time.perf_counter()
        await job.start()
        watching = asyncio.create_task(service.watch(TO_HEALTH_SECONDS, on_healthy))
        waiting = asyncio.create_task(over.wait())
        await asyncio.wait({watching, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if watching.done():
            raise SystemExit(f"the service did not come up: {watching.result()}")
        watching.cancel()


def main() -> None:
    """Build the images and run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--seconds", type=float, default=5, help="per number of connections")
    chosen = parser.parse_args()
    images.build()
    with tempfile.TemporaryDirectory() as folder:
        config = Config(
            work_dir=Path(folder) / "work",
            owner="streaming-benchmark",
            relay_image=images.RELAY,
            streaming_host="127.0.0.1",
            streaming_ports="0",
        )
        work = WorkDir.make(config.work_dir, secrets.token_hex(8), config.owner)
        try:
            asyncio.run(measure(work, config, chosen.connections, chosen.seconds))
        finally:
            work.remove()


if __name__ == "__main__":
    main()
