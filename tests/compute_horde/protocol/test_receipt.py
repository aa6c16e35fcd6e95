"""Receipts that a validator sends are signed over their payload."""

import pytest

from compute_horde import signing
from compute_horde.errors import BadSignature
from compute_horde.protocol import links
from tests.compute_horde.vectors import VECTORS, compact

ISSUED = ["V0JobAcceptedReceiptRequest", "V0JobFinishedReceiptRequest"]


@pytest.mark.parametrize("name", ISSUED)
def test_an_issued_receipt_is_by_its_validator(name):
    issued = links.VALIDATOR_TO_MINER.decode(compact(VECTORS["messages"][name][0]))
    payload = issued.payload
    signing.verify_hex(payload.validator_hotkey, payload.blob(), issued.signature)
    with pytest.raises(BadSignature):
        signing.verify_hex(payload.miner_hotkey, payload.blob(), issued.signature)


@pytest.mark.parametrize("transcript", ["ok", "fail", "reconnect"])
def test_receipts_issued_live_are_by_their_validator(transcript):
    sent = [event["msg"] for event in VECTORS["live_transcripts"][transcript] if "msg" in event]
    issued = [
        links.VALIDATOR_TO_MINER.decode(compact(t)) for t in sent if t["message_type"] in ISSUED
    ]
    assert issued
    for one in issued:
        signing.verify_hex(one.payload.validator_hotkey, one.payload.blob(), one.signature)
