"""A batch of 256 miners with 10 executors each: `python -m benchmarks.batch [--published]`.

Starts PostgreSQL, two processes with simulated miners that a validator reaches over websockets, and
one process that runs a batch at them as the validator's worker does. Prints how far apart offers
were, how late the event loop was, and what it took; exits 1 when offers took a second or more, the
process needed 1 GiB, or an answer was not right.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import random
import subprocess
import sys
from multiprocessing.connection import Connection

from websockets.asyncio.server import ServerConnection, serve

from localnet import testing
from localnet.process_table import ROOT

PROCESSES = 2
# Answers come so many seconds after the full job, each at another time.
ANSWER_SECONDS = (1.0, 10.0)
EXTENSIONS = ["cancel", "output", "intervals", "binding"]


class SimulatedMiners:
    """Any number of miners behind one port; each does every job right, after a while."""

    def __init__(self, executors: int, extensions: list[str]) -> None:
        self._manifest = json.dumps(
            {
                "message_type": "V0ExecutorManifestRequest",
                "manifest": {"always_on.test": executors},
                "extensions": extensions,
            }
        )
        self._answers: set[asyncio.Task[None]] = set()

    async def handle(self, socket: ServerConnection) -> None:
        """Accept every login and every offer of one connection."""
        await socket.recv()
        await socket.send(self._manifest)
        async for frame in socket:
            message = json.loads(frame)
            uuid = message.get("job_uuid")
            if message["message_type"] == "V0InitialJobRequest":
                await socket.send(_message("V0AcceptJobRequest", uuid))
                await socket.send(_message("V0ExecutorReadyRequest", uuid))
            if message["message_type"] == "V0JobRequest":
                answer = asyncio.create_task(self._answer(socket, uuid, message["docker_run_cmd"]))
                self._answers.add(answer)
                answer.add_done_callback(self._answers.discard)

    async def _answer(self, socket: ServerConnection, uuid: str, command: list[str]) -> None:
        await socket.send(_message("V0VolumesReadyRequest", uuid))
        await asyncio.sleep(random.uniform(*ANSWER_SECONDS))
        await socket.send(_message("V0ExecutionDoneRequest", uuid))
        printed = {"docker_process_stdout": command[1], "docker_process_stderr": ""}
        await socket.send(_message("V0JobFinishedRequest", uuid, **printed))


def _message(message_type: str, uuid: str, **fields: str) -> str:
    return json.dumps({"message_type": message_type, "job_uuid": uuid} | fields)


def serve_miners(executors: int, extensions: list[str], port: Connection) -> None:
    """Serve simulated miners until killed; sends the port that they listen on."""

    async def run() -> None:
        miners = SimulatedMiners(executors, extensions)
        async with serve(miners.handle, "127.0.0.1", 0, compression=None) as server:
            port.send(next(iter(server.sockets)).getsockname()[1])
            await server.serve_forever()

    asyncio.run(run())


def main() -> int:
    """Run the benchmark; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.batch", description=__doc__)
    parser.add_argument("--miners", type=int, default=256)
    parser.add_argument("--executors", type=int, default=10, help="of each miner")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--published", action="store_true", help="miners without our extensions")
    chosen = parser.parse_args()
    ports, processes = [], []
    for _ in range(PROCESSES):
        ours, theirs = multiprocessing.Pipe()
        given = (chosen.executors, [] if chosen.published else EXTENSIONS, theirs)
        processes.append(multiprocessing.Process(target=serve_miners, args=given, daemon=True))
        processes[-1].start()
        ports.append(str(ours.recv()))
    numbers = [str(chosen.miners), str(chosen.executors), str(chosen.runs)]
    command = [sys.executable, "-m", "benchmarks.batch_worker", *numbers, *ports]
    with testing.running(("postgres",)) as home:
        env = os.environ | testing.settings_env(home)
        env |= {
            "DJANGO_SETTINGS_MODULE": "validator.settings_headless",
            "VALIDATOR_BATCH_KINDS": '{"always_on.test": [{"kind": "echo", "parameters": '
            '{"seconds": 60}}]}',
        }
        status = subprocess.run(command, cwd=ROOT, env=env, check=False).returncode
    for process in processes:
        process.terminate()
    return status


if __name__ == "__main__":
    sys.exit(main())
