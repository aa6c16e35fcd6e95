"""How long a poll of 256 miners takes when many are silent, slow or hostile.

The miners are real websocket servers in a process of their own. The validator polls as its worker
does; meanwhile another thread measures for how long it was kept from running.
"""

import argparse
import asyncio
import itertools
import logging
import multiprocessing
import resource
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from multiprocessing.connection import Connection

from bittensor_core import Keypair
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from compute_horde.protocol.capacity import Manifest
from validator.miners.connection import Address
from validator.miners.manifest_poll import poll

TARGET_SECONDS = 10
TIMEOUT_SECONDS = 7.0
MANIFEST = Manifest(manifest={"always_on.gpu-24gb": 4, "spin_up-4min.gpu-24gb": 2}).encode()
UNUSED_PORT = 1

Behaviour = Callable[[ServerConnection], Awaitable[None]]


async def good(socket: ServerConnection) -> None:
    """Answer at once."""
    await socket.recv()
    await socket.send(MANIFEST)
    await socket.wait_closed()


async def silent(socket: ServerConnection) -> None:
    """Accept the login and send nothing."""
    await socket.wait_closed()


async def slow(socket: ServerConnection) -> None:
    """Answer after three seconds."""
    await asyncio.sleep(3)
    await good(socket)


async def junk(socket: ServerConnection) -> None:
    """Send short junk without an end."""
    while True:
        await socket.send("junk" * 10)
        await asyncio.sleep(0)


async def huge(socket: ServerConnection) -> None:
    """Send frames of 40 MiB."""
    while True:
        await socket.send("x" * 40 * 2**20)


async def _hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accept a TCP connection and never answer the handshake."""
    with suppress(ConnectionError):
        while await reader.read(2**16):
            continue
    writer.close()


async def _start(behaviour: Behaviour) -> int:
    async def serve_one(socket: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            await behaviour(socket)

    server = await serve(serve_one, "127.0.0.1", 0, compression=None)
    return int(server.sockets[0].getsockname()[1])


async def _start_holding() -> int:
    server = await asyncio.start_server(_hold, "127.0.0.1", 0)
    return int(server.sockets[0].getsockname()[1])


async def _run_miners(miners: int, pipe: Connection) -> None:
    """Start all miners and send their ports: 30 % do not answer, 10 % are slow or send junk."""
    without_answer, hostile = miners * 3 // 10, miners // 10
    ports = []
    for number in range(without_answer):
        ports.append((UNUSED_PORT, await _start_holding(), await _start(silent))[number % 3])
    for behaviour in itertools.islice(itertools.cycle((slow, slow, junk, huge)), hostile):
        ports.append(await _start(behaviour))
    while len(ports) < miners:
        ports.append(await _start(good))
    pipe.send(ports)
    await asyncio.Event().wait()


def _miners(miners: int, pipe: Connection) -> None:
    logging.disable(logging.CRITICAL)
    asyncio.run(_run_miners(miners, pipe))


class Ticker(threading.Thread):
    """Another task of the worker: the longest time between two of its ticks of 10 ms."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.longest = 0.0
        self._ended = threading.Event()

    def run(self) -> None:
        """Tick until ended."""
        last = time.perf_counter()
        while not self._ended.wait(0.01):
            now = time.perf_counter()
            self.longest, last = max(self.longest, now - last), now

    def end(self) -> None:
        """Stop ticking."""
        self._ended.set()
        self.join()


def measure(ports: list[int]) -> None:
    """Poll all miners once and print the figures."""
    validator = Keypair.create_from_uri("//validator")
    addresses = [Address(f"m{n}", "127.0.0.1", port) for n, port in enumerate(ports)]
    ticker, memory = Ticker(), _peak_mib()
    ticker.start()
    began, cpu = time.perf_counter(), time.process_time()
    answers = asyncio.run(poll(addresses, validator, TIMEOUT_SECONDS))
    took, cpu = time.perf_counter() - began, time.process_time() - cpu
    ticker.end()
    print(
        f"{len(ports)} miners, {len(answers)} manifests in {took:.1f} s"
        f" (target {TARGET_SECONDS}), {cpu:.2f} s of CPU,"
        f" {_peak_mib() - memory:.0f} MiB more at most,"
        f" another thread waited {ticker.longest * 1000:.0f} ms at most"
    )


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--miners", type=int, default=256)
    parser.add_argument("--times", type=int, default=3)
    chosen = parser.parse_args()
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=_miners, args=(chosen.miners, theirs), daemon=True)
    process.start()
    ports = ours.recv()
    for _ in range(chosen.times):
        measure(ports)
    process.terminate()
