"""What a transfer writes, and when."""

import asyncio
from collections import Counter

import pytest

from compute_horde.django.database import in_database
from tests.peers.keys import MINER
from tests.validator.receipts.published import expected, line
from validator.receipts import store
from validator.receipts.models import Receipt, TransferCount, TransferStatus
from validator.receipts.pages import TransferProblem
from validator.receipts.recorder import TransferRecorder
from validator.receipts.store import Checkpoint, PageProgress
from validator.receipts.verification import LineProblem, verify_line

pytestmark = pytest.mark.django_db(transaction=True)

HOTKEY = MINER.ss58_address


def progress(page: int) -> PageProgress:
    return PageProgress(Checkpoint(HOTKEY, "h:1", page, 10), [verify_line(line(), expected())])


async def test_pages_that_are_read_together_are_stored_by_one_transaction(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recorder, batches = TransferRecorder(), []

    def record(batch: list[PageProgress]) -> int:
        batches.append(len(batch))
        return real(batch)

    real = store.record
    monkeypatch.setattr(store, "record", record)
    await asyncio.gather(*(recorder.store(progress(page)) for page in range(5)))
    assert batches == [5]
    assert await in_database(Receipt.objects.count) == 5
    await recorder.close()


async def test_who_stores_learns_of_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = TransferRecorder()

    def broken(batch: list[PageProgress]) -> int:
        raise ValueError("broken")

    monkeypatch.setattr(store, "record", broken)
    with pytest.raises(ValueError, match="broken"):
        await recorder.store(progress(1))
    monkeypatch.undo()
    await recorder.store(progress(1))
    await recorder.close()


async def test_counters_and_statuses_are_written() -> None:
    recorder = TransferRecorder()
    recorder.fetched(HOTKEY, "h:1", 8, 0.25)
    recorder.fetched(HOTKEY, "h:1", 7, 0.25)
    recorder.failed(HOTKEY, "h:1", TransferProblem.TIMED_OUT)
    recorder.verified(HOTKEY, 3, Counter({LineProblem.NOT_JSON: 2}))
    await recorder.store(progress(1))
    await recorder.write_counts(miners=4, pages_left=5)
    await recorder.write_counts(miners=4, pages_left=6)
    counts = await in_database(_counts, HOTKEY)
    assert counts == {
        ("transfers", ""): 2,
        ("microseconds", ""): 500_000,
        ("transfer_errors", "timed_out"): 1,
        ("receipts", ""): 3,
        ("line_errors", "not_json"): 2,
    }
    every = {("new_receipts", ""): 1, ("miners", ""): 4, ("catch_up_pages_left", ""): 6}
    assert await in_database(_counts, "") == counts | every
    status = await in_database(TransferStatus.objects.get)
    assert (status.newest_page, status.problem, status.address) == (8, "timed_out", "h:1")
    assert status.fetched_at < status.failed_at


async def test_a_new_address_begins_a_new_status() -> None:
    recorder = TransferRecorder()
    recorder.fetched(HOTKEY, "h:1", 8, 0.25)
    await recorder.write_counts(miners=1, pages_left=0)
    recorder.failed(HOTKEY, "h:2", TransferProblem.REDIRECTED)
    await recorder.write_counts(miners=1, pages_left=0)
    status = await in_database(TransferStatus.objects.get)
    assert (status.address, status.newest_page, status.fetched_at) == ("h:2", None, None)


def _counts(miner: str) -> dict[tuple[str, str], int]:
    rows = TransferCount.objects.filter(miner_hotkey=miner)
    return {(row.name, row.reason): row.count for row in rows}
