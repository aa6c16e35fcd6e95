"""Verifies the lines of a miner's receipt pages: form, parties, times, and both signatures."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from pydantic import ValidationError

from compute_horde import signing
from compute_horde.errors import BadSignature
from compute_horde.receipts import (
    AnyPayload,
    JobAcceptedReceipt,
    JobFinishedReceipt,
    JobIntervalReceipt,
    JobStartedReceipt,
    Receipt,
)
from validator.receipts.pages import MAX_LINE_BYTES

# How far the clock of an issuer may be ahead.
MAX_AHEAD = timedelta(hours=1)
# Executor seconds; the column of the database has 18 digits before the point.
SCORE_LIMIT = Decimal(10**17)


class LineProblem(StrEnum):
    """Why a line of a page is not stored."""

    TOO_LONG = "too_long"
    NOT_JSON = "not_json"
    NOT_A_RECEIPT = "not_a_receipt"
    OTHER_MINER = "other_miner"
    # The miner itself claims to be the validator: nobody else has confirmed anything.
    SIGNED_BY_ITSELF = "signed_by_itself"
    UNKNOWN_VALIDATOR = "unknown_validator"
    FROM_THE_FUTURE = "from_the_future"
    TOO_OLD = "too_old"
    SCORE_TOO_LARGE = "score_too_large"
    VALIDATOR_SIGNATURE = "validator_signature"
    MINER_SIGNATURE = "miner_signature"
    # More receipts than are stored of one miner.
    TOO_MANY = "too_many"


# Of lines that an honest miner publishes too: of small validators, and of former days.
HARMLESS = frozenset({LineProblem.UNKNOWN_VALIDATOR, LineProblem.TOO_OLD})


class LineError(Exception):
    """A line is not stored, for the reason `problem`."""

    def __init__(self, problem: LineProblem) -> None:
        super().__init__(problem)
        self.problem = problem


class VerifiedReceipt(NamedTuple):
    """A verified receipt in the order of the database's columns; `payload` is what was signed."""

    job_uuid: str
    receipt_type: str
    interval: int
    miner_hotkey: str
    validator_hotkey: str
    timestamp: datetime
    valid_until: datetime | None
    executor_class: str
    is_organic: bool | None
    score: str | None
    payload: str
    validator_signature: bytes
    miner_signature: bytes


@dataclass(frozen=True, slots=True)
class Expected:
    """What the receipts of a page must be: of which miner and validators, and not before when.

    `now` is the present time.
    """

    miner: str
    validators: frozenset[str]
    now: datetime
    not_before: datetime


@dataclass
class Verified:
    """The receipts of some lines, and how many other lines there were by reason.

    `begins_amid_line` means that the first line is no JSON, as where an offset is not at the
    beginning of a line.
    """

    receipts: list[VerifiedReceipt] = field(default_factory=list)
    problems: Counter[LineProblem] = field(default_factory=Counter)
    begins_amid_line: bool = False

    @property
    def is_mostly_bad(self) -> bool:
        """Whether more lines are bad than are not; lines that are only not of use are not bad."""
        harmless = sum(self.problems[problem] for problem in HARMLESS)
        return self.problems.total() - harmless > len(self.receipts) + harmless


def verify_lines(lines: bytes, expected: Expected) -> Verified:
    """Verify complete lines, each on its own."""
    verified = Verified()
    for number, line in enumerate(lines.split(b"\n")[:-1]):
        try:
            verified.receipts.append(verify_line(line, expected))
        except LineError as exc:
            verified.problems[exc.problem] += 1
            if number == 0:
                verified.begins_amid_line = exc.problem is LineProblem.NOT_JSON
    return verified


def verify_line(line: bytes, expected: Expected) -> VerifiedReceipt:
    """The receipt in a line. Raises `LineError`.

    Signatures are verified last, since that takes most of the time.
    """
    receipt = _parsed(line)
    payload = receipt.payload
    _check_parties_and_time(payload, expected)
    score = _score(payload)
    blob = payload.blob()
    return VerifiedReceipt(
        job_uuid=payload.job_uuid,
        receipt_type=payload.receipt_type,
        interval=payload.interval if isinstance(payload, JobIntervalReceipt) else 0,
        miner_hotkey=payload.miner_hotkey,
        validator_hotkey=payload.validator_hotkey,
        timestamp=payload.timestamp,
        valid_until=payload.timestamp + timedelta(seconds=payload.ttl)
        if isinstance(payload, JobStartedReceipt | JobAcceptedReceipt)
        else None,
        executor_class=payload.executor_class if isinstance(payload, JobStartedReceipt) else "",
        is_organic=payload.is_organic if isinstance(payload, JobStartedReceipt) else None,
        score=score,
        payload=blob.decode(),
        validator_signature=_signature(
            payload.validator_hotkey,
            blob,
            receipt.validator_signature,
            LineProblem.VALIDATOR_SIGNATURE,
        ),
        miner_signature=_signature(
            payload.miner_hotkey, blob, receipt.miner_signature, LineProblem.MINER_SIGNATURE
        ),
    )


def _parsed(line: bytes) -> Receipt:
    if len(line) > MAX_LINE_BYTES:
        raise LineError(LineProblem.TOO_LONG)
    try:
        return Receipt.model_validate_json(line)
    except ValidationError as exc:
        kinds: Collection[str] = {error["type"] for error in exc.errors(include_input=False)}
        is_json = "json_invalid" not in kinds
        problem = LineProblem.NOT_A_RECEIPT if is_json else LineProblem.NOT_JSON
        raise LineError(problem) from exc


def _check_parties_and_time(payload: AnyPayload, expected: Expected) -> None:
    if payload.miner_hotkey != expected.miner:
        raise LineError(LineProblem.OTHER_MINER)
    if payload.validator_hotkey == payload.miner_hotkey:
        raise LineError(LineProblem.SIGNED_BY_ITSELF)
    if payload.validator_hotkey not in expected.validators:
        raise LineError(LineProblem.UNKNOWN_VALIDATOR)
    if payload.timestamp > expected.now + MAX_AHEAD:
        raise LineError(LineProblem.FROM_THE_FUTURE)
    if payload.timestamp < expected.not_before:
        raise LineError(LineProblem.TOO_OLD)


def _score(payload: AnyPayload) -> str | None:
    if not isinstance(payload, JobFinishedReceipt | JobIntervalReceipt):
        return None
    if Decimal(payload.score_str) >= SCORE_LIMIT:
        raise LineError(LineProblem.SCORE_TOO_LARGE)
    return payload.score_str


def _signature(hotkey: str, blob: bytes, signature: str, problem: LineProblem) -> bytes:
    """The bytes of a signature, once it is verified."""
    try:
        signing.verify_hex(hotkey, blob, signature)
    except BadSignature as exc:
        raise LineError(problem) from exc
    return bytes.fromhex(signature.removeprefix("0x"))
