"""Receipts of this validator and of others, read as one."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from bittensor_core import Keypair

from compute_horde.hardware import ExecutorClass
from compute_horde.receipts import AnyPayload, JobFinishedReceipt, JobIntervalReceipt
from compute_horde.vocabulary import ReceiptType
from tests.peers.keys import MINER, OTHER_MINER, STRANGER, VALIDATOR
from tests.validator.receipts.published import (
    CLASS,
    accepted,
    expected,
    finished,
    interval,
    line,
    started,
)
from validator.receipts import queries, store
from validator.receipts.busy import KnownReceipt, busy_executors
from validator.receipts.models import IssuedReceipt
from validator.receipts.store import Checkpoint, PageProgress
from validator.receipts.verification import verify_line

pytestmark = pytest.mark.django_db

NOW = datetime.now(UTC) - timedelta(minutes=5)
OTHER_CLASS = ExecutorClass.spin_up_4min__gpu_24gb
ME, MINE = VALIDATOR.ss58_address, MINER.ss58_address


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def issue(*payloads: AnyPayload) -> None:
    for payload in payloads:
        earns = isinstance(payload, JobFinishedReceipt | JobIntervalReceipt)
        IssuedReceipt.objects.create(
            job_uuid=payload.job_uuid,
            receipt_type=payload.receipt_type,
            interval=getattr(payload, "interval", 0),
            miner_hotkey=payload.miner_hotkey,
            score=payload.score_str if earns else None,
            payload=payload.model_dump_json(),
            signature="0x",
            issued_at=payload.timestamp,
        )


def publish(*payloads: AnyPayload, by: Keypair = VALIDATOR, miner: Keypair = MINER) -> None:
    everybody = frozenset({ME, STRANGER.ss58_address})
    parties = {"validator_hotkey": by.ss58_address, "miner_hotkey": miner.ss58_address}
    receipts = [
        verify_line(
            line(payload.model_copy(update=parties), validator=by, miner=miner),
            expected(validators=everybody, miner=miner.ss58_address),
        )
        for payload in payloads
    ]
    store.record([PageProgress(Checkpoint(miner.ss58_address, "h:1", 1, 1), receipts)])


def valid_at(moment: datetime, **limits: Any) -> list[KnownReceipt]:
    return queries.receipts_valid_at(MINE, moment, ME, **limits)


def jobs_at(moment: datetime, **limits: Any) -> set[str]:
    return {one.job_uuid for one in valid_at(moment, **limits)}


def test_a_receipt_that_was_issued_and_published_is_there_once() -> None:
    one = started(timestamp=NOW)
    issue(one)
    publish(one)
    assert valid_at(at(1)) == [
        KnownReceipt(
            job_uuid=one.job_uuid,
            receipt_type=ReceiptType.STARTED,
            miner=MINE,
            validator=ME,
            timestamp=NOW,
            valid_until=at(7),
            executor_class=CLASS,
            is_organic=True,
        )
    ]


@pytest.mark.parametrize("source", [issue, publish])
def test_issued_and_published_ones_say_the_same(source: object) -> None:
    uuid = str(uuid4())
    source(  # type: ignore[operator]
        started(uuid, timestamp=NOW), accepted(uuid, timestamp=at(1)), started(timestamp=NOW)
    )
    source(interval(uuid, 2, timestamp=at(20)))  # type: ignore[operator]
    found = valid_at(at(30))
    assert {(one.receipt_type, one.interval, one.valid_until) for one in found} == {
        (ReceiptType.STARTED, 0, at(7)),
        (ReceiptType.ACCEPTED, 0, at(61)),
        (ReceiptType.INTERVAL, 2, None),
    }
    assert {one.job_uuid for one in found} == {uuid}
    assert busy_executors(found, at(30)) == {CLASS: 1}


def test_receipts_of_other_validators_count_and_of_other_miners_do_not() -> None:
    publish(started(timestamp=NOW), by=STRANGER)
    publish(started(timestamp=NOW), miner=OTHER_MINER)
    issue(started(timestamp=NOW, miner_hotkey=OTHER_MINER.ss58_address))
    issue(started(timestamp=NOW))
    assert {one.validator for one in valid_at(at(1))} == {STRANGER.ss58_address, ME}
    assert busy_executors(valid_at(at(1)), at(1)) == {CLASS: 2}


def test_a_finished_job_is_not_busy_however_it_is_known() -> None:
    published, issued = str(uuid4()), str(uuid4())
    publish(started(published, timestamp=NOW), accepted(published, timestamp=NOW))
    publish(finished(published, timestamp=at(5)))
    issue(started(issued, timestamp=NOW), accepted(issued, timestamp=NOW))
    issue(finished(issued, timestamp=at(5)))
    for seconds, busy in ((4, {CLASS: 2}), (5, {}), (30, {})):
        assert busy_executors(valid_at(at(seconds)), at(seconds)) == busy


def test_a_job_is_finished_here_before_its_miner_has_published_it() -> None:
    uuid = str(uuid4())
    publish(started(uuid, timestamp=NOW), accepted(uuid, timestamp=NOW))
    issue(started(uuid, timestamp=NOW), accepted(uuid, timestamp=NOW))
    issue(finished(uuid, timestamp=at(5)))
    assert busy_executors(valid_at(at(6)), at(6)) == {}


@pytest.mark.parametrize("source", [issue, publish])
def test_only_organic_jobs_of_a_class_are_read(source: object) -> None:
    organic, synthetic, other, unknown = (str(uuid4()) for _ in range(4))
    source(  # type: ignore[operator]
        started(organic, timestamp=NOW),
        started(synthetic, timestamp=NOW, is_organic=False),
        started(other, timestamp=NOW, executor_class=OTHER_CLASS),
        *(accepted(job, timestamp=at(1)) for job in (organic, synthetic, other, unknown)),
    )
    assert jobs_at(at(2)) == {organic, synthetic, other, unknown}
    for moment in (at(2), at(30)):
        assert jobs_at(moment, executor_class=CLASS) == {organic}
        assert jobs_at(moment, trusted=[]) == {organic, other}
        found = valid_at(moment, trusted=[], executor_class=CLASS)
        assert {one.receipt_type for one in found} == {ReceiptType.STARTED, ReceiptType.ACCEPTED}


def test_only_receipts_of_trusted_validators_and_of_this_one_are_read() -> None:
    mine, published, foreign = (str(uuid4()) for _ in range(3))
    issue(started(mine, timestamp=NOW))
    publish(started(published, timestamp=NOW))
    publish(started(foreign, timestamp=NOW), finished(published, timestamp=NOW), by=STRANGER)
    assert jobs_at(at(1)) == {mine, published, foreign}
    assert jobs_at(at(1), trusted=[]) == {mine, published}
    assert {one.validator for one in valid_at(at(1), trusted=[])} == {ME}
    assert jobs_at(at(1), trusted=[STRANGER.ss58_address]) == {mine, published, foreign}


def test_another_validator_gives_no_class_to_a_job() -> None:
    job = str(uuid4())
    publish(accepted(job, timestamp=NOW))
    publish(started(job, timestamp=NOW), by=STRANGER)
    trusted = [STRANGER.ss58_address]
    found = valid_at(at(1), trusted=trusted, executor_class=CLASS)
    assert {one.validator for one in found} == {STRANGER.ss58_address}


def test_of_too_many_receipts_the_newest_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "MAX_FETCHED", 3)
    jobs = [str(uuid4()) for _ in range(5)]
    publish(*(started(job, timestamp=at(number / 10)) for number, job in enumerate(jobs)))
    assert jobs_at(at(1)) == set(jobs[2:])
    assert jobs_at(at(1), trusted=[], executor_class=CLASS) == set(jobs[2:])


def test_what_was_earned_is_read_by_time_and_miner() -> None:
    job = finished(timestamp=NOW, score_str="2.000000")
    issue(job)
    publish(job, interval(number=1, timestamp=at(1), score_str="0.500000"))
    publish(finished(timestamp=at(1), score_str="7.000000"), by=STRANGER, miner=OTHER_MINER)
    publish(finished(timestamp=at(2)), started(timestamp=NOW))

    def scores(*period: datetime, **of: str) -> list[str]:
        found = queries.receipts_earned(*period, ME, **of)
        return sorted(str(one.score) for one in found)

    assert scores(NOW, at(2)) == ["0.500000", "2.000000", "7.000000"]
    assert scores(NOW, at(2), miner=MINE) == ["0.500000", "2.000000"]
    assert scores(at(0.5), at(2), miner=MINE) == ["0.500000"]
