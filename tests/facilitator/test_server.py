"""The facilitator as a separate process: stopped, killed, and without its database."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import httpx
import psycopg
import pytest
import websockets
from bittensor_core import Keypair

from compute_horde.django.database import in_database
from compute_horde.protocol.handshake import FacilitatorLogin
from compute_horde.protocol.message import REPORT_FRAME_BYTES
from facilitator.models import Validator
from tests.compute_horde.vectors import KEYS
from tests.eventually import eventually
from tests.peers.api_user import User, job_body
from tests.peers.validator import result
from tests.servers import database_url, free_port

READY_WITHIN_SECONDS = 150
NAME = "facilitator-under-test"


class Facilitator:
    """A server process on a port it keeps over restarts."""

    def __init__(self) -> None:
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environment = {
            "FACILITATOR_PORT": str(self.port),
            "FACILITATOR_DATABASE_URL": database_url(),
            "PGAPPNAME": NAME,
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "facilitator"],
            env=os.environ | environment,
            stderr=subprocess.DEVNULL,
        )
        give_up = time.monotonic() + READY_WITHIN_SECONDS
        while time.monotonic() < give_up:
            try:
                if httpx.get(f"{self.url}/health", trust_env=False).status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.05)
        raise TimeoutError("the facilitator did not come up")

    def stop(self, number: signal.Signals) -> None:
        """Send a signal and wait for the end of the process."""
        self.process.send_signal(number)
        self.process.wait(30)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @asynccontextmanager
    async def validator(
        self, keypair: Keypair = KEYS["validator"]
    ) -> AsyncIterator[websockets.ClientConnection]:
        url = f"ws://127.0.0.1:{self.port}/ws/v0/"
        async with websockets.connect(url, compression=None, max_size=2**20) as line:
            await line.send(FacilitatorLogin.signed(keypair).encode())
            assert json.loads(await line.recv())["status"] == "success"
            yield line

    def client(self, user: User) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, headers=user.auth, timeout=60, trust_env=False)


@contextmanager
def running() -> Iterator[Facilitator]:
    facilitator = Facilitator()
    try:
        facilitator.start()
        yield facilitator
    finally:
        facilitator.process.kill()
        facilitator.process.wait()


@pytest.fixture
def facilitator() -> Iterator[Facilitator]:
    with running() as one:
        yield one


@pytest.fixture(scope="module")
def unharmed(django_db_setup: None) -> Iterator[Facilitator]:
    """One for all tests that neither stop nor kill it.

    They come last: while it runs, another one would wait for it to end.
    """
    with running() as one:
        yield one


async def create(client: httpx.AsyncClient, user: User) -> str:
    answer = await client.post(
        "/api/v1/job-docker/", json=job_body(), headers=user.sign_job(job_body())
    )
    assert answer.status_code == 201, answer.text
    return answer.json()["uuid"]


def status(uuid: str, state: str, **metadata) -> str:
    return json.dumps(
        {
            "message_type": "V0JobStatusUpdate",
            "uuid": uuid,
            "status": state,
            "metadata": metadata or None,
        }
    )


async def streamed_states(
    client: httpx.AsyncClient, uuid: str, after: str = "0", found: list[str] | None = None
) -> list[str]:
    """The statuses in a stream until it ends or its connection breaks; `found` grows with them."""
    found = [] if found is None else found
    try:
        headers = {"Last-Event-ID": after}
        async with client.stream("GET", f"/api/v1/jobs/{uuid}/events", headers=headers) as answer:
            async for line in answer.aiter_lines():
                if line.startswith("data: "):
                    found.append(json.loads(line.removeprefix("data: "))["status"])
    except httpx.TransportError:
        found.append("broken")
    return found


async def test_a_job_goes_all_the_way_and_the_server_stops_politely(facilitator, user):
    async with facilitator.client(user) as client, facilitator.validator() as line:
        uuid = await create(client, user)
        reading = asyncio.create_task(streamed_states(client, uuid))
        assert json.loads(await line.recv())["uuid"] == uuid
        for state in ("received", "accepted"):
            await line.send(status(uuid, state))
        await line.send(status(uuid, "completed", **result("x" * 100_000)))
        for _ in range(3):
            assert json.loads(await line.recv())["status"] == "success"
        assert await reading == ["sent", "received", "accepted", "completed", "completed"]
        waiting = await create(client, user)
        found: list[str] = []
        reading = asyncio.create_task(streamed_states(client, waiting, found=found))
        await line.recv()
        await eventually(lambda: found)
        await asyncio.to_thread(facilitator.stop, signal.SIGTERM)
        assert await reading == ["sent"]
    assert facilitator.process.returncode in {0, -signal.SIGTERM}


async def test_killed_while_a_job_waits_it_sends_the_job_again_and_the_user_reads_on(
    facilitator, user
):
    async with facilitator.client(user) as client:
        async with facilitator.validator() as line:
            uuid = await create(client, user)
            await line.recv()
            found: list[str] = []
            reading = asyncio.create_task(streamed_states(client, uuid, found=found))
            await eventually(lambda: found)
            await asyncio.to_thread(facilitator.stop, signal.SIGKILL)
            assert await reading == ["sent", "broken"]
        await asyncio.to_thread(facilitator.start)
        async with facilitator.validator() as line:
            assert json.loads(await line.recv())["uuid"] == uuid
            await line.send(status(uuid, "completed", **result()))
            assert json.loads(await line.recv())["status"] == "success"
        assert await streamed_states(client, uuid) == ["sent", "completed", "completed"]


async def test_a_published_validator_takes_the_place_of_its_connection_that_no_longer_answers(
    facilitator, user
):
    async with facilitator.validator() as lost, facilitator.client(user) as client:
        # As if the validator's network were lost: nothing is read, no ping is answered.
        lost.transport.pause_reading()
        async with facilitator.validator() as line:
            uuid = await create(client, user)
            assert json.loads(await line.recv())["uuid"] == uuid
            # It answers, so it is not replaced.
            with pytest.raises(AssertionError):
                await facilitator.validator().__aenter__()
    assert (await in_database(Validator.objects.get)).conflicts == 1


async def flood(line: websockets.ClientConnection) -> None:
    await line.send("x" * (REPORT_FRAME_BYTES + 1))
    await line.recv()


async def test_a_database_that_drops_its_connections_is_not_noticed(unharmed, user):
    async with unharmed.client(user) as client, unharmed.validator() as line:
        await create(client, user)
        await line.recv()
        with psycopg.connect(database_url(), autocommit=True) as database:
            database.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = %s",
                [NAME],
            )
        uuid = await create(client, user)
        assert json.loads(await line.recv())["uuid"] == uuid
        await line.send(status(uuid, "rejected"))
        assert json.loads(await line.recv())["status"] == "success"


async def test_an_oversized_frame_ends_the_connection_and_nothing_else(unharmed, user):
    await Validator.objects.acreate(hotkey=KEYS["miner"].ss58_address)
    async with unharmed.validator() as other:
        async with unharmed.validator(KEYS["miner"]) as line:
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await flood(line)
            assert closed.value.rcvd.code == 1009
        async with unharmed.client(user) as client:
            uuid = await create(client, user)
            assert json.loads(await other.recv())["uuid"] == uuid


async def test_an_oversized_request_is_refused(unharmed, user):
    async with unharmed.client(user) as client:
        answer = await client.post("/api/v1/job-docker/", content=b"x" * (9 * 2**20))
        assert answer.status_code == 413
        assert "URL" in answer.json()["details"]
        assert (await client.get("/health")).status_code == 200
