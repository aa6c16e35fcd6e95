"""How soon many users of one hotkey, each with a client of its own, learn that their job has ended.

The facilitator and its database are real; this process is the validator, and another one runs all
users, from one address. Measured from the database's commit of the status to the user's callback,
for ends that come one by one and for ends that come all at once; also what the waiting costs.
"""

import argparse
import asyncio
import json
import logging
import multiprocessing
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import httpx
import psutil
import psycopg
import websockets
from bittensor_core import Keypair
from psycopg.conninfo import make_conninfo

from benchmarks.job_latency import spec
from compute_horde.protocol.handshake import FacilitatorLogin
from compute_horde_sdk.errors import FacilitatorUnreachable
from compute_horde_sdk.v1 import ComputeHordeClient, ComputeHordeJob, ComputeHordeJobStatusEntry
from localnet import postgres, testing
from localnet.network_dir import NetworkDir
from localnet.process_table import ROOT

MIB = 2**20
START_SECONDS = 60
CREATE_ATTEMPTS = 5
# How long the users are given to learn the last end.
LATEST_SECONDS = 120
TARGET_SECONDS = 1.0
USER, VALIDATOR = Keypair.create_from_uri("//Charlie"), Keypair.create_from_uri("//Alice")

# Notes the time of each end just before its transaction is committed.
NOTE_ENDS = """
CREATE TABLE noted_end (job_id uuid, at timestamptz);
CREATE FUNCTION note_end() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO noted_end VALUES (NEW.job_id, clock_timestamp());
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER note_end AFTER INSERT ON facilitator_jobevent
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (NEW.state = 'completed') EXECUTE FUNCTION note_end();
"""


class RequestCounter(logging.Handler):
    """Counts the requests of all clients by kind, from the log of the HTTP library."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()
        log = logging.getLogger("httpx")
        log.setLevel(logging.INFO)
        log.propagate = False
        log.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Count one request: a stream opened, a poll, or another one; refused ones apart."""
        method, url, _, status, _ = record.args  # type: ignore[misc]
        path = str(url).rstrip("/")
        kind = "streams" if path.endswith("/events") else "polls"
        if method != "GET" or "/api/" not in path:
            kind = "others"
        self.counts[kind if int(str(status)) < 400 else f"{kind} refused with {status}"] += 1


async def wait_as_users(url: str, users: int, per_second: float, output: IO[str]) -> None:
    """Create a job for each user and wait for it; writes a JSON line per end to `output`."""
    requests = RequestCounter()

    async def user(number: int) -> None:
        await asyncio.sleep(number / per_second)
        async with ComputeHordeClient(USER, VALIDATOR.ss58_address, facilitator_url=url) as client:
            job = await created(client)

            def learn(job: ComputeHordeJob, entry: ComputeHordeJobStatusEntry) -> None:
                if not entry.status.is_in_progress():
                    output.write(json.dumps({"uuid": job.uuid, "at": time.time()}) + "\n")

            await job.wait(status_callback=learn)

    await asyncio.gather(*(user(number) for number in range(users)))
    output.write(json.dumps({"requests": dict(requests.counts)}) + "\n")
    output.flush()


async def created(client: ComputeHordeClient) -> ComputeHordeJob:
    """A new job; tried again while this machine is too busy to connect."""
    for _ in range(CREATE_ATTEMPTS):
        with suppress(FacilitatorUnreachable):
            return await client.create_job(spec())
    raise SystemExit("no job could be created")


def run_users(url: str, users: int, per_second: float, path: str) -> None:
    """The process of the users."""
    with Path(path).open("w") as output:
        asyncio.run(wait_as_users(url, users, per_second, output))


@contextmanager
def facilitator(home: NetworkDir) -> Iterator[tuple[psutil.Process, str]]:
    """A facilitator that knows the user and the validator, and its URL."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    own = {
        "FACILITATOR_PORT": str(port),
        "FACILITATOR_VALIDATORS": json.dumps([VALIDATOR.ss58_address]),
        "FACILITATOR_ALLOWED_HOTKEYS": json.dumps([USER.ss58_address]),
    }
    env = os.environ | testing.settings_env(home) | own
    command = [sys.executable, "-m", "facilitator"]
    for words in (["manage", "migrate", "-v0"], ["seed"]):
        subprocess.run([*command, *words], env=env, cwd=ROOT, check=True)
    with psycopg.connect(database(home), autocommit=True) as connection:
        connection.execute(NOTE_ENDS)
    process = subprocess.Popen(command, env=env, cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until_healthy(url)
        yield psutil.Process(process.pid), url
    finally:
        process.terminate()
        process.wait(30)


def wait_until_healthy(url: str) -> None:
    """Return once the server answers."""
    give_up = time.monotonic() + START_SECONDS
    while time.monotonic() < give_up:
        try:
            if httpx.get(f"{url}/health", trust_env=False).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise SystemExit("the facilitator did not come up")


def database(home: NetworkDir) -> str:
    """How to connect to the facilitator's database."""
    return make_conninfo(postgres.url(home, "facilitator"))


class Validator:
    """Takes every job, and ends those that it is told to end."""

    def __init__(self, line: websockets.ClientConnection) -> None:
        self._line = line
        self.jobs: list[str] = []

    async def take_jobs(self) -> None:
        """Report each new job as received and accepted, until cancelled."""
        async for text in self._line:
            message = json.loads(text)
            if message.get("message_type") == "V2JobRequest":
                for state in ("received", "accepted"):
                    await self._report(message["uuid"], state)
                self.jobs.append(message["uuid"])

    async def end(self, uuid: str) -> None:
        """Report that a job has ended well, with a short output."""
        result = {"docker_process_stdout": "x" * 1000, "docker_process_stderr": ""}
        await self._report(uuid, "completed", {"miner_response": result})

    async def _report(self, uuid: str, state: str, metadata: object = None) -> None:
        report = {"message_type": "V0JobStatusUpdate", "uuid": uuid, "status": state}
        await self._line.send(json.dumps(report | {"metadata": metadata}))


class Cost:
    """CPU and memory of the facilitator since an instant."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process
        self._began, self._cpu = time.monotonic(), self._cpu_seconds()

    def _cpu_seconds(self) -> float:
        return sum(self._process.cpu_times()[:2])

    def cpu_percent(self) -> float:
        """The part of one core used since then."""
        used = self._cpu_seconds() - self._cpu
        return 100 * used / (time.monotonic() - self._began)

    def memory(self) -> float:
        """The present memory in bytes, without shared pages."""
        return float(self._process.memory_full_info().uss)


async def measure(
    home: NetworkDir, process: psutil.Process, url: str, chosen: argparse.Namespace
) -> bool:
    """Let the users wait, end their jobs and print the figures; whether the target is met."""
    login = FacilitatorLogin.signed(VALIDATOR).encode()
    address = url.replace("http", "ws", 1) + "/ws/v0/"
    met = True
    async with websockets.connect(address, compression=None, max_size=8 * MIB) as line:
        await line.send(login)
        await line.recv()
        validator = Validator(line)
        taking = asyncio.create_task(validator.take_jobs())
        await one_round(home, process, url, validator, 1, argparse.Namespace(idle=0, rate=10))
        for rate in (chosen.rate, float("inf")):
            chosen.rate = rate
            met &= await one_round(home, process, url, validator, chosen.users, chosen)
        taking.cancel()
    return met


async def one_round(
    home: NetworkDir,
    process: psutil.Process,
    url: str,
    validator: Validator,
    users: int,
    chosen: argparse.Namespace,
) -> bool:
    """One group of users; prints its figures unless it is a single one, which only warms up."""
    validator.jobs.clear()
    before = Cost(process).memory()
    with tempfile.NamedTemporaryFile("r", suffix=".json") as output:
        arguments = (url, users, chosen.starts if users > 1 else 1, output.name)
        running = multiprocessing.get_context("spawn").Process(target=run_users, args=arguments)
        running.start()
        while len(validator.jobs) < users:
            if not running.is_alive():
                raise SystemExit("the process of the users has failed")
            await asyncio.sleep(0.1)
        await asyncio.sleep(2 if users > 1 else 0)
        waiting = Cost(process)
        await asyncio.sleep(chosen.idle)
        idle, memory = waiting.cpu_percent(), waiting.memory() - before
        ending = Cost(process)
        for uuid in random.sample(validator.jobs, users):
            await validator.end(uuid)
            await asyncio.sleep(1 / chosen.rate)
        await asyncio.to_thread(running.join, LATEST_SECONDS)
        if running.is_alive():
            running.kill()
        lines = [json.loads(line) for line in output]
    if users == 1:
        return True
    print(
        f"{users} users, ends at {chosen.rate:.0f}/s: waiting costs {memory / MIB:.1f} MiB "
        f"({memory / users / 1024:.1f} KiB each), {idle:.1f} % CPU; "
        f"during the ends {ending.cpu_percent():.0f} % CPU"
    )
    return report(lines, ends(home, validator.jobs))


def ends(home: NetworkDir, jobs: list[str]) -> dict[str, float]:
    """When each job's end was committed, in UNIX seconds."""
    with psycopg.connect(database(home)) as connection:
        rows = connection.execute(
            "SELECT job_id::text, extract(epoch FROM at)::float8 FROM noted_end"
            " WHERE job_id = ANY(%s::uuid[])",
            [jobs],
        )
        return dict(rows.fetchall())


def report(lines: list[dict[str, object]], committed: dict[str, float]) -> bool:
    """Print the latencies and requests; whether all learned the end, 95 % within the target."""
    learned = {str(line["uuid"]): line["at"] for line in lines if "uuid" in line}
    took = sorted(at - committed[uuid] for uuid, at in learned.items())  # type: ignore[operator]
    requests = next((line["requests"] for line in lines if "requests" in line), {})
    p50, p95 = took[len(took) // 2], took[len(took) * 95 // 100]
    print(
        f"  commit to callback: p50 {p50 * 1000:.0f} ms, p95 {p95 * 1000:.0f} ms, "
        f"longest {took[-1] * 1000:.0f} ms (target: p95 {TARGET_SECONDS * 1000:.0f} ms)"
    )
    print(f"  {len(learned)} of {len(committed)} users learned the end; requests {requests}")
    return len(learned) == len(committed) and p95 <= TARGET_SECONDS


def main() -> int:
    """Run the benchmark; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=500)
    parser.add_argument("--starts", type=float, default=10, help="users that start, per second")
    parser.add_argument("--rate", type=float, default=50, help="jobs that end, per second")
    parser.add_argument("--idle", type=float, default=45, help="seconds that all only wait")
    chosen = parser.parse_args()
    with testing.running(("postgres",)) as home, facilitator(home) as (process, url):
        return 0 if asyncio.run(measure(home, process, url, chosen)) else 1


if __name__ == "__main__":
    sys.exit(main())
