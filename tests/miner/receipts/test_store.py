"""Receipts in the database."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from compute_horde import receipts
from compute_horde.django import database
from compute_horde.django.database import in_database
from compute_horde.hardware import ExecutorClass
from compute_horde.receipts import JobIntervalReceipt
from miner.receipts import store
from miner.receipts.models import Receipt
from miner.receipts.rules import page_at
from tests.miner.conftest import MINER, STRANGER, VALIDATOR
from tests.miner.peers import CLASS, ValidatorPeer

PEER = ValidatorPeer(None, VALIDATOR, MINER.ss58_address)


@pytest.fixture(autouse=True)
def _threads(transactional_db):
    yield
    database.close_threads()


def started(uuid=None, **changes):
    payload = PEER.started(uuid or str(uuid4())).model_copy(update=changes)
    signature = receipts.signing.signed_hex(VALIDATOR, payload.blob())
    return receipts.counter_sign(payload, signature, MINER)


def finished(uuid, score="1.000000"):
    issued = PEER.finished_receipt(uuid, score)
    return receipts.counter_sign(issued.payload, issued.signature, MINER)


def test_of_two_receipts_of_a_type_the_first_is_kept():
    uuid = str(uuid4())
    store.store([finished(uuid, "1.000000")])
    store.store([finished(uuid, "2.000000"), started(uuid)])
    bodies = [receipts.Receipt.model_validate_json(r.body) for r in Receipt.objects.all()]
    assert [getattr(r.payload, "score_str", None) for r in bodies] == ["1.000000", None]


def test_what_is_stored_is_what_was_signed():
    store.store([started()])
    line = store.page_text(Receipt.objects.get().page)
    receipts.Receipt.model_validate_json(line).verify()
    assert line.endswith("}\n")


def test_a_page_may_be_of_one_hotkey_only():
    ours = started()
    other = PEER.started(str(uuid4())).model_copy(update={"miner_hotkey": STRANGER.ss58_address})
    store.store([ours])
    Receipt.objects.update(page=7)
    store.store([ours.model_copy(update={"payload": other})])
    Receipt.objects.update(page=7)
    whole = store.page_body(7)
    parts = [store.page_body(7, 0, one.ss58_address) for one in (MINER, STRANGER)]
    assert whole == b"".join(parts)
    assert store.page_size(7, MINER.ss58_address) == len(parts[0])
    assert store.page_body(7, 5, STRANGER.ss58_address) == parts[1][5:]


def test_only_organic_started_receipts_that_are_valid_excuse():
    now = datetime.now(UTC).replace(microsecond=0)
    good = started(timestamp=now - timedelta(seconds=7))
    store.store(
        [
            good,
            started(timestamp=now - timedelta(seconds=8)),
            started(timestamp=now + timedelta(seconds=1)),
            started(timestamp=now, is_organic=False),
            started(timestamp=now, executor_class=ExecutorClass.always_on__llm__a6000),
            finished(str(uuid4())),
        ]
    )
    assert store.find_excuses(CLASS, now) == [good]


async def test_the_last_receipt_of_a_job_does_not_wait():
    receipt_writer, uuid = store.ReceiptWriter(), str(uuid4())
    await receipt_writer.put(started(uuid))
    assert await in_database(Receipt.objects.count) == 0
    await receipt_writer.put(finished(uuid))
    assert await in_database(Receipt.objects.count) == 2


async def test_excuses_include_receipts_that_were_just_queued():
    receipt_writer, receipt = store.ReceiptWriter(), started()
    await receipt_writer.put(receipt)
    assert await receipt_writer.excuses(CLASS, receipt.payload.timestamp) == [receipt]


def test_old_pages_are_deleted_whole():
    now = datetime.now(UTC)
    old, late = started(), started(timestamp=now.replace(microsecond=0) - timedelta(days=3))
    store.store([old])
    Receipt.objects.update(page=page_at(now - timedelta(days=2)) - 1)
    store.store([late, started()])
    assert store.evict(now - timedelta(days=2)) == 1
    assert Receipt.objects.count() == 2


def test_each_interval_of_a_job_is_kept_once():
    uuid = str(uuid4())

    def interval(number):
        payload = JobIntervalReceipt(
            job_uuid=uuid,
            miner_hotkey=MINER.ss58_address,
            validator_hotkey=VALIDATOR.ss58_address,
            timestamp=datetime.now(UTC),
            interval=number,
            time_started=datetime.now(UTC),
            time_took_us=10**6,
            score_str="1.000000",
        )
        signature = receipts.signing.signed_hex(VALIDATOR, payload.blob())
        return receipts.counter_sign(payload, signature, MINER)

    store.store([interval(number) for number in (0, 1, 1)])
    store.store([interval(number) for number in (1, 2)])
    lines = store.page_text(Receipt.objects.first().page).splitlines()
    kept = [receipts.Receipt.model_validate_json(line) for line in lines]
    assert [one.payload.interval for one in kept] == [0, 1, 2]
    for one in kept:
        one.verify()
