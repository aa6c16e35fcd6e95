"""What is held in memory is read again after notifications, also after the database failed."""

import asyncio

import pytest
from django.db import OperationalError

from compute_horde.django.database import in_database
from compute_horde.django.job_record import notify
from miner import following


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("threads")
async def test_a_read_that_fails_is_repeated(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(following, "RETRY_SECONDS", 0)
    reads: asyncio.Queue[int] = asyncio.Queue()
    failures = [OperationalError("gone"), OperationalError("still gone")]

    async def read() -> None:
        if failures:
            raise failures.pop()
        reads.put_nowait(1)

    task = asyncio.create_task(following.follow("miner_test", read))
    try:
        async with asyncio.timeout(30):
            while reads.empty():
                await in_database(notify, "miner_test")
                await asyncio.sleep(0.01)
        assert not failures
        assert caplog.text.count("cannot be read") == 2
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
