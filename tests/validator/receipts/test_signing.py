"""The signatures of a job's receipts."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from compute_horde.deadlines import Budget
from compute_horde.receipts import counter_sign
from tests.peers.keys import MINER, VALIDATOR
from tests.peers.user import request
from validator.receipts.signing import JobReceiptSigner

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def signer() -> JobReceiptSigner:
    budget = Budget(*(timedelta(seconds=one) for one in (7, 3, 5, 4, 10, 20, 30, 40)))
    return JobReceiptSigner(request(), MINER.ss58_address, VALIDATOR, budget, is_organic=True)


def test_each_receipt_of_a_job_is_one_that_its_miner_counter_signs() -> None:
    job = signer()
    for receipt in (
        job.sign_started_receipt(NOW),
        job.sign_accepted_receipt(NOW),
        job.sign_interval_receipt(0, began=NOW, length=SECOND, score=Decimal(1), now=NOW + SECOND),
        job.sign_finished_receipt(Decimal(20), NOW + SECOND),
    ):
        assert receipt.payload.job_uuid == job.job.uuid
        counter_sign(receipt.payload, receipt.signature, MINER).verify()


def test_an_accepted_job_has_one_accepted_receipt_and_begins_with_it() -> None:
    job = signer()
    first = job.sign_accepted_receipt(NOW)
    assert job.sign_accepted_receipt(NOW + SECOND) is first
    assert job.sign_finished_receipt(Decimal(20), NOW + SECOND).payload.time_started == NOW
