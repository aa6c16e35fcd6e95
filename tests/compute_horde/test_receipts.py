"""Receipts: the published bytes, the published bounds, both signatures."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from compute_horde import signing
from compute_horde.errors import BadSignature
from compute_horde.receipts import (
    JobAcceptedReceipt,
    JobFinishedReceipt,
    JobStartedReceipt,
    Receipt,
    as_json,
    counter_sign,
    valid_at,
)
from tests.compute_horde.vectors import MINER, USER, VALIDATOR, VECTORS, compact

RECEIPTS = VECTORS["receipts"]
NAMES = [vector["payload"]["receipt_type"] for vector in RECEIPTS]
STARTED, ACCEPTED, FINISHED = (
    Receipt.model_validate_json(vector["jsonl_line"]).payload for vector in RECEIPTS
)
CHANGES = {
    "baseline": {},
    "score 1e5": {"score_str": "1e5"},
    "score -1": {"score_str": "-1"},
    "score '5'": {"score_str": "5"},
    "score '.5'": {"score_str": ".5"},
    "naive timestamp": {"timestamp": "2026-01-01T00:00:00"},
    "uppercase uuid": {"job_uuid": FINISHED.job_uuid.upper()},
    "year 1999": {"timestamp": "1999-12-31T23:59:59Z"},
    "time_took_us -1": {"time_took_us": -1},
    "block 2**32+1": {"block_numbers": [2**32 + 1]},
    "tz offset +02:00": {"timestamp": "2026-01-01T02:00:00+02:00"},
}
AT_THE_BOUNDS = [
    ({"time_took_us": 365 * 24 * 3600 * 10**6}, {"time_took_us": 365 * 24 * 3600 * 10**6 + 1}),
    ({"score_str": "9" * 256}, {"score_str": "9" * 257}),
    ({"block_numbers": [2**32] * 10_000}, {"block_numbers": [1] * 10_001}),
    ({"timestamp": "2099-12-31T23:59:59Z"}, {"timestamp": "2100-01-01T00:00:00Z"}),
    ({"time_started": "2000-01-01T00:00:00Z"}, {"time_started": "1999-12-31T23:59:59Z"}),
    ({"score_str": "0.5"}, {"score_str": "0.5\n"}),
    ({"score_str": "0"}, {"score_str": "\u0665"}),
]


def changed(change: dict) -> JobFinishedReceipt:
    return JobFinishedReceipt.model_validate_json(compact(RECEIPTS[2]["payload"] | change))


@pytest.mark.parametrize("vector", RECEIPTS, ids=NAMES)
def test_a_published_receipt_is_read_signed_and_written_byte_by_byte(vector):
    receipt = Receipt.model_validate_json(vector["jsonl_line"])
    assert receipt.payload.blob().hex() == vector["blob_hex"]
    assert receipt.model_dump_json() == vector["jsonl_line"]
    assert compact(as_json(receipt)) == vector["jsonl_line"]
    receipt.verify()


@pytest.mark.parametrize("half", ["validator_signature", "miner_signature"])
@pytest.mark.parametrize("vector", RECEIPTS, ids=NAMES)
def test_a_receipt_needs_both_signatures(vector, half):
    receipt = Receipt.model_validate_json(vector["jsonl_line"])
    forged = signing.signed_hex(USER, receipt.payload.blob())
    for signature in (forged, "", "0x" + "00" * 64):
        with pytest.raises(BadSignature):
            receipt.model_copy(update={half: signature}).verify()


def test_the_table_of_changes_is_the_published_one():
    assert CHANGES.keys() == VECTORS["receipt_rejections"].keys()


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_receipt_is_taken_or_refused_as_published(name):
    if VECTORS["receipt_rejections"][name] == "accepted":
        changed(CHANGES[name])
    else:
        with pytest.raises(ValidationError):
            changed(CHANGES[name])


@pytest.mark.parametrize(("inside", "outside"), AT_THE_BOUNDS, ids=lambda change: str(change)[:40])
def test_bounds_are_where_the_published_ones_are(inside, outside):
    changed(inside)
    with pytest.raises(ValidationError):
        changed(outside)


@pytest.mark.parametrize("kind", [JobStartedReceipt, JobAcceptedReceipt])
def test_a_receipt_holds_for_at_most_thirty_days(kind):
    payload = (STARTED if kind is JobStartedReceipt else ACCEPTED).model_dump(mode="json")
    kind.model_validate(payload | {"ttl": 30 * 24 * 3600})
    for ttl in (-1, 30 * 24 * 3600 + 1):
        with pytest.raises(ValidationError):
            kind.model_validate(payload | {"ttl": ttl})


def test_another_time_zone_is_written_as_it_was_read():
    payload = changed(CHANGES["tz offset +02:00"])
    assert payload.blob().decode() == VECTORS["receipt_tz_reserialisation"]


def test_the_miner_s_half_completes_a_receipt():
    vector = RECEIPTS[0]
    receipt = counter_sign(STARTED, vector["validator_signature"], MINER)
    receipt.verify()
    assert receipt.validator_signature == vector["validator_signature"]


def test_a_miner_does_not_sign_what_another_miner_should():
    mine = STARTED.model_copy(update={"miner_hotkey": USER.ss58_address})
    signature = signing.signed_hex(VALIDATOR, mine.blob())
    counter_sign(mine, signature, USER)
    with pytest.raises(BadSignature, match="another miner"):
        counter_sign(mine, signature, MINER)


def test_a_miner_does_not_sign_what_the_validator_did_not():
    with pytest.raises(BadSignature):
        counter_sign(STARTED, signing.signed_hex(USER, STARTED.blob()), MINER)


def test_a_trusted_miner_signs_receipts_that_name_another_miner() -> None:
    signature = signing.signed_hex(VALIDATOR, STARTED.blob())
    receipt = counter_sign(STARTED, signature, USER, is_trusted_miner=True)
    signing.verify_hex(USER.ss58_address, STARTED.blob(), receipt.miner_signature)
    with pytest.raises(BadSignature):
        counter_sign(STARTED, "0x" + "00" * 64, USER, is_trusted_miner=True)


@pytest.mark.parametrize(
    ("after", "holds"),
    [
        (timedelta(microseconds=-1), False),
        (timedelta(0), True),
        (timedelta(seconds=7), True),
        (timedelta(seconds=7, microseconds=1), False),
    ],
)
def test_a_receipt_holds_from_its_time_to_the_end_of_its_ttl_and_both_count(after, holds):
    assert STARTED.ttl == 7
    assert valid_at(STARTED, STARTED.timestamp + after) is holds


def test_the_zone_of_the_clock_does_not_matter():
    assert STARTED.timestamp == datetime(2026, 1, 1, 0, 0, 0, 123456, UTC)
    assert valid_at(STARTED, STARTED.timestamp.astimezone())
