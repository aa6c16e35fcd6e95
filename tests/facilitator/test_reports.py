"""When what validators report is stored."""

import asyncio

from compute_horde.protocol.status import StatusReported
from compute_horde.vocabulary import JobState
from facilitator import reports


async def answered_within(seconds: float, hotkey: str, uuid: str, state: str) -> bool:
    answer = reports.hear(hotkey, StatusReported(uuid=uuid, status=JobState(state)))
    done, _ = await asyncio.wait([answer], timeout=seconds)
    return bool(done)


async def test_ends_and_addresses_do_not_wait_for_company(user, line, monkeypatch):
    monkeypatch.setattr(reports.scribe, "_linger", 5)
    hotkey = line.keypair.ss58_address
    for state in ("streaming_ready", "completed", "failed", "horde_failed", "rejected"):
        uuid = (await user.create()).json()["uuid"]
        assert not await answered_within(0.05, hotkey, uuid, "received")
        assert await answered_within(3, hotkey, uuid, state)
        history = (await user.job(uuid))["status_history"]
        assert [entry["status"] for entry in history] == ["sent", "received", state]


async def test_what_waits_is_stored_before_the_process_ends(user, line, monkeypatch):
    monkeypatch.setattr(reports.scribe, "_linger", 5)
    uuid = (await user.create()).json()["uuid"]
    assert not await answered_within(0.05, line.keypair.ss58_address, uuid, "received")
    async with asyncio.timeout(3):
        await reports.scribe.close()
    assert (await user.job(uuid))["status"] == "Received"
