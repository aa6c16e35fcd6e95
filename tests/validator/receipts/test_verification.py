"""Which lines of a page are receipts that count."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from compute_horde.receipts import Receipt
from tests.peers.keys import MINER, OTHER_MINER, STRANGER, VALIDATOR
from tests.validator.receipts.published import (
    CLASS,
    accepted,
    expected,
    finished,
    interval,
    line,
    now,
    signed,
    started,
)
from validator.receipts.pages import MAX_LINE_BYTES
from validator.receipts.verification import (
    LineError,
    LineProblem,
    VerifiedReceipt,
    verify_line,
    verify_lines,
)

UUID = "3a0c1f5e-7d0b-4c56-9a53-2b6f0e9a1c11"


def problem(text: bytes, **changes: Any) -> LineProblem:
    with pytest.raises(LineError) as caught:
        verify_line(text, expected(**changes))
    return caught.value.problem


def test_a_started_receipt_is_verified_into_columns() -> None:
    moment = now()
    receipt = signed(started(UUID, timestamp=moment))
    assert verify_line(receipt.model_dump_json().encode(), expected()) == VerifiedReceipt(
        job_uuid=UUID,
        receipt_type="JobStartedReceipt",
        interval=0,
        miner_hotkey=MINER.ss58_address,
        validator_hotkey=VALIDATOR.ss58_address,
        timestamp=moment,
        valid_until=moment + timedelta(seconds=7),
        executor_class=CLASS,
        is_organic=True,
        score=None,
        payload=receipt.payload.blob().decode(),
        validator_signature=bytes.fromhex(receipt.validator_signature[2:]),
        miner_signature=bytes.fromhex(receipt.miner_signature[2:]),
    )


def test_the_other_types_have_their_own_columns() -> None:
    lines = line(accepted(UUID)) + line(finished(UUID)) + line(interval(UUID, 3))
    verified = verify_lines(lines, expected())
    assert not verified.problems
    assert [(one.receipt_type, one.interval, one.score) for one in verified.receipts] == [
        ("JobAcceptedReceipt", 0, None),
        ("JobFinishedReceipt", 0, "1.500000"),
        ("JobIntervalReceipt", 3, "0.5"),
    ]
    assert [one.valid_until is None for one in verified.receipts] == [False, True, True]


def test_the_published_example_is_verified() -> None:
    """A line as the published validator and miner, //Alice and //Bob, write it."""
    text = (
        b'{"payload":{"job_uuid":"3a0c1f5e-7d0b-4c56-9a53-2b6f0e9a1c11","miner_hotkey":"5FHneW46xG'
        b'Xgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty","validator_hotkey":"5GrwvaEF5zXb26Fz9rcQpDWS57CtE'
        b'RHpNehXCPcNoHGKutQY","timestamp":"2026-01-01T00:00:00.123456Z","receipt_type":"JobFinishe'
        b'dReceipt","time_started":"2026-01-01T00:00:00Z","time_took_us":12345678,"score_str":"40.0'
        b'00000","block_numbers":[7400001,7400002]},"validator_signature":"0x584f30f2ce2f1da6388aef'
        b"c3d13bb38a78407ce346523dbdc11e7ce32b2fb93d70c7b2a9021c31c92723a2f4dffbdc68cdfff03acd121a9"
        b'73a9dc1de0f4c7280","miner_signature":"0xfecc6853eb4bee7f61d4e6abd50dd8386c171083178da37f4'
        b"3118b6ed6068131e40697c857688a18a8c355dd700bcf00e7f9ca6051538907c85d84bca9e7e989"
        b'"}'
    )
    then = datetime(2026, 1, 1, tzinfo=UTC)
    found = verify_line(text, expected(now=then, not_before=then - timedelta(days=1)))
    assert (found.job_uuid, found.score) == (UUID, "40.000000")


def test_a_receipt_with_another_offset_of_time_keeps_its_signature() -> None:
    east = started(timestamp=now().astimezone(timezone(timedelta(hours=2))))
    assert verify_line(line(east), expected()).timestamp == east.timestamp


@pytest.mark.parametrize("text", [b"", b"x", b"{", b'{"payload":', b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_json_is_named(text: bytes) -> None:
    assert problem(text) is LineProblem.NOT_JSON


@pytest.mark.parametrize(
    "changes",
    [
        {"receipt_type": "JobForgottenReceipt"},
        {"job_uuid": UUID.upper()},
        {"job_uuid": None},
        {"ttl": -1},
        {"ttl": 10**400},
        {"timestamp": "2026-01-01T00:00:00"},
        {"timestamp": "1999-12-31T23:59:59Z"},
        {"executor_class": "made_up"},
    ],
)
def test_what_is_out_of_the_bounds_of_a_receipt_is_none(changes: dict[str, Any]) -> None:
    receipt = json.loads(line())
    receipt["payload"] |= changes
    assert problem(json.dumps(receipt).encode()) is LineProblem.NOT_A_RECEIPT


@pytest.mark.parametrize("score", ["1e5", "-1", ".5", "9" * 257, "1\n", "0x1"])
def test_a_score_is_a_plain_number(score: str) -> None:
    receipt = json.loads(line(finished()))
    receipt["payload"]["score_str"] = score
    assert problem(json.dumps(receipt).encode()) is LineProblem.NOT_A_RECEIPT


def test_a_score_that_no_job_can_have_is_refused() -> None:
    assert problem(line(finished(score_str="9" * 200))) is LineProblem.SCORE_TOO_LARGE
    assert problem(line(finished(score_str="1" + "0" * 17))) is LineProblem.SCORE_TOO_LARGE
    assert verify_line(line(finished(score_str="9" * 17 + ".9999999")), expected())


def test_a_line_longer_than_any_receipt_is_not_parsed() -> None:
    assert problem(b" " * (MAX_LINE_BYTES + 1)) is LineProblem.TOO_LONG


def test_a_miner_publishes_only_receipts_of_its_own() -> None:
    stolen = line(started(miner_hotkey=OTHER_MINER.ss58_address), miner=OTHER_MINER)
    assert problem(stolen) is LineProblem.OTHER_MINER


def test_a_miner_is_no_validator_of_its_own_jobs() -> None:
    both = frozenset({VALIDATOR.ss58_address, MINER.ss58_address})
    own = line(started(validator_hotkey=MINER.ss58_address), validator=MINER)
    assert problem(own, validators=both) is LineProblem.SIGNED_BY_ITSELF


def test_lines_that_are_only_of_no_use_are_not_bad() -> None:
    foreign = line(started(validator_hotkey=STRANGER.ss58_address), validator=STRANGER)
    old = line(started(timestamp=now() - timedelta(days=3)))
    verified = verify_lines(foreign * 2 + old * 2 + b"junk\n" * 4, expected())
    assert (verified.problems.total(), verified.is_mostly_bad) == (8, False)
    assert verify_lines(foreign * 2 + old * 2 + b"junk\n" * 5, expected()).is_mostly_bad


def test_receipts_of_anybody_are_not_stored() -> None:
    foreign = line(started(validator_hotkey=STRANGER.ss58_address), validator=STRANGER)
    assert problem(foreign) is LineProblem.UNKNOWN_VALIDATOR
    both = frozenset({VALIDATOR.ss58_address, STRANGER.ss58_address})
    assert verify_line(foreign, expected(validators=both))


def test_a_clock_may_be_an_hour_ahead_and_no_more() -> None:
    moment = now()
    early = line(started(timestamp=moment + timedelta(hours=1)))
    assert verify_line(early, expected(now=moment))
    just_before = moment - timedelta(microseconds=1)
    assert problem(early, now=just_before) is LineProblem.FROM_THE_FUTURE


def test_what_would_be_deleted_at_once_is_not_stored() -> None:
    moment = now() - timedelta(hours=1)
    assert problem(line(started(timestamp=moment)), not_before=now()) is LineProblem.TOO_OLD
    assert verify_line(line(started(timestamp=moment)), expected(not_before=moment))


def test_both_signatures_must_be_right() -> None:
    assert problem(line(validator=STRANGER)) is LineProblem.VALIDATOR_SIGNATURE
    assert problem(line(miner=STRANGER)) is LineProblem.MINER_SIGNATURE


@pytest.mark.parametrize("signature", ["", "0x", "0x" + "0" * 128, "é" * 130])
def test_a_signature_of_another_form_is_wrong(signature: str) -> None:
    receipt = json.loads(line()) | {"miner_signature": signature}
    assert problem(json.dumps(receipt).encode()) is LineProblem.MINER_SIGNATURE


def test_a_changed_field_breaks_the_signature() -> None:
    receipt = json.loads(line(finished()))
    receipt["payload"]["score_str"] = "2.500000"
    assert problem(json.dumps(receipt).encode()) is LineProblem.VALIDATOR_SIGNATURE


def test_what_is_stored_can_be_verified_again() -> None:
    one = verify_line(line(finished(block_numbers=[1, 2])), expected())
    again = {
        "payload": json.loads(one.payload),
        "validator_signature": "0x" + one.validator_signature.hex(),
        "miner_signature": "0x" + one.miner_signature.hex(),
    }
    Receipt.model_validate(again).verify()


def test_each_line_is_judged_on_its_own() -> None:
    verified = verify_lines(line() + b"junk\n\n" + line(miner=STRANGER) + line(), expected())
    assert len(verified.receipts) == 2
    assert verified.problems == Counter({LineProblem.NOT_JSON: 2, LineProblem.MINER_SIGNATURE: 1})
    assert verified.is_mostly_bad
    assert not verified.begins_amid_line
    assert verify_lines(b"junk\n", expected()).begins_amid_line
