"""A started receipt is counter-signed if it is of the offered job and its validator's."""

import pytest

from compute_horde import signing
from compute_horde.errors import RejectionError
from compute_horde.hardware import ExecutorClass
from compute_horde.vocabulary import RejectionReason
from miner.jobs.rules import JobPolicy
from miner.receipts.signing import counter_sign_started_receipt
from tests.miner.conftest import MINER, STRANGER, VALIDATOR
from tests.miner.peers import ValidatorPeer

PEER = ValidatorPeer(None, VALIDATOR, MINER.ss58_address)
HOTKEY = VALIDATOR.ss58_address
JOB = "5ec9b0e4-2a86-4f9b-8cf6-3c9e8ac8d1d7"


@pytest.mark.parametrize(
    "change",
    [
        {"job_uuid": "6ec9b0e4-2a86-4f9b-8cf6-3c9e8ac8d1d7"},
        {"executor_class": ExecutorClass.always_on__cpu__8c__16gb},
        {"validator_hotkey": STRANGER.ss58_address},
        {"miner_hotkey": STRANGER.ss58_address},
    ],
)
def test_the_started_receipt_must_be_of_this_job(change):
    receipt = PEER.started(JOB).model_copy(update=change)
    offer = PEER.offer(
        JOB,
        job_started_receipt_payload=receipt,
        job_started_receipt_signature=signing.signed_hex(VALIDATOR, receipt.blob()),
    )
    with pytest.raises(RejectionError) as caught:
        counter_sign_started_receipt(offer, HOTKEY, MINER, JobPolicy())
    assert caught.value.reason is RejectionReason.INVALID_RECEIPT
    assert (
        counter_sign_started_receipt(offer, HOTKEY, MINER, JobPolicy(check_receipts=False)) is None
    )


def test_a_good_started_receipt_has_both_signatures():
    counter_sign_started_receipt(PEER.offer(JOB), HOTKEY, MINER, JobPolicy()).verify()


def test_a_trusted_miner_signs_a_started_receipt_that_names_another_miner():
    offer = ValidatorPeer(None, VALIDATOR, "0" * 48).offer(JOB)
    with pytest.raises(RejectionError) as caught:
        counter_sign_started_receipt(offer, HOTKEY, MINER, JobPolicy())
    assert caught.value.reason is RejectionReason.INVALID_RECEIPT
    assert counter_sign_started_receipt(offer, HOTKEY, MINER, JobPolicy(trusted=True))
