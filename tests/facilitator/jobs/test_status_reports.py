"""When reported statuses are stored."""

import asyncio
import threading

from compute_horde.protocol.status import StatusReported
from compute_horde.vocabulary import JobState
from facilitator import validator_consumer
from facilitator.jobs import status_reports
from tests.eventually import eventually
from tests.peers.validator import result


async def answered_within(seconds: float, hotkey: str, uuid: str, state: str) -> bool:
    answer = status_reports.enqueue(hotkey, StatusReported(uuid=uuid, status=JobState(state)))
    done, _ = await asyncio.wait([answer], timeout=seconds)
    return bool(done)


async def test_ends_and_addresses_do_not_wait_for_company(user, line, monkeypatch):
    monkeypatch.setattr(status_reports.writer, "_linger", 5)
    hotkey = line.keypair.ss58_address
    for state in ("streaming_ready", "completed", "failed", "horde_failed", "rejected"):
        uuid = (await user.create()).json()["uuid"]
        assert not await answered_within(0.05, hotkey, uuid, "received")
        assert await answered_within(3, hotkey, uuid, state)
        history = (await user.job(uuid))["status_history"]
        assert [entry["status"] for entry in history] == ["sent", "received", state]


async def test_what_waits_is_stored_before_the_process_ends(user, line, monkeypatch):
    monkeypatch.setattr(status_reports.writer, "_linger", 5)
    uuid = (await user.create()).json()["uuid"]
    assert not await answered_within(0.05, line.keypair.ss58_address, uuid, "received")
    async with asyncio.timeout(30):
        await status_reports.writer.close()
    assert (await user.job(uuid))["status"] == "Received"


async def test_what_is_not_stored_yet_is_bounded_in_bytes(user, connect, monkeypatch):
    """While the database is blocked, no more than that is read from a validator."""
    size, number = 2**20, 12
    monkeypatch.setattr(validator_consumer, "CONNECTION_BYTES", 4 * size)
    going, record = threading.Event(), status_reports.store.record_statuses

    def standing(*args):
        going.wait(20)
        return record(*args)

    monkeypatch.setattr(status_reports.store, "record_statuses", standing)
    line = await connect().log_in()
    uuid = (await user.create()).json()["uuid"]
    assert (await line.receive())["uuid"] == uuid
    for _ in range(number):
        await line.send_status(uuid, "received", **result("x" * size))
    try:
        assert await line.receives_nothing()
        assert 2 * size < validator_consumer.total_unstored.held < 5 * size
    finally:
        going.set()
    for _ in range(number):
        assert "status" in await line.receive()
    assert validator_consumer.total_unstored.held == 0


async def test_what_is_not_stored_yet_counts_as_the_memory_it_takes(user, connect, monkeypatch):
    """A string with one wide character takes four bytes per character in memory."""
    size = 2**20
    going, record = threading.Event(), status_reports.store.record_statuses

    def standing(*args):
        going.wait(20)
        return record(*args)

    monkeypatch.setattr(status_reports.store, "record_statuses", standing)
    line = await connect().log_in()
    uuid = (await user.create()).json()["uuid"]
    assert (await line.receive())["uuid"] == uuid
    await line.send_status(uuid, "received", **result("x" * size + "\U0001f600"))
    try:
        await eventually(lambda: validator_consumer.total_unstored.held)
        assert validator_consumer.total_unstored.held > 4 * size
    finally:
        going.set()
    assert "status" in await line.receive()
    assert validator_consumer.total_unstored.held == 0
