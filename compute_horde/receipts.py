"""Receipts about jobs: signed by a validator and counter-signed by the miner."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from compute_horde import signing
from compute_horde.errors import BadSignature
from compute_horde.hardware import ExecutorClass
from compute_horde.job_uuid import is_job_uuid

MAX_TTL_SECONDS = 30 * 24 * 3600
MAX_DURATION_US = 365 * 24 * 3600 * 1_000_000
_SCORE = r"^[0-9]+(\.[0-9]+)?$"


def _canonical(uuid: str) -> str:
    if not is_job_uuid(uuid):
        raise ValueError("a job uuid is lower-case and hyphenated")
    return uuid


def _plausible(moment: datetime) -> datetime:
    if not 2000 <= moment.year < 2100:
        raise ValueError("the year must lie in [2000, 2100)")
    return moment


JobUuid = Annotated[str, AfterValidator(_canonical)]
Moment = Annotated[AwareDatetime, AfterValidator(_plausible)]
Ttl = Annotated[int, Field(ge=0, le=MAX_TTL_SECONDS)]
BlockNumber = Annotated[int, Field(ge=0, le=2**32)]


class _Payload(BaseModel):
    model_config = ConfigDict(frozen=True)

    job_uuid: JobUuid
    miner_hotkey: str
    validator_hotkey: str
    timestamp: Moment

    def blob(self) -> bytes:
        """The bytes that both parties sign."""
        return signing.spaced_json(self.model_dump(mode="json"))


class JobStartedReceipt(_Payload):
    """An executor is asked for; valid for `ttl` seconds."""

    receipt_type: Literal["JobStartedReceipt"] = "JobStartedReceipt"
    executor_class: ExecutorClass
    is_organic: bool
    ttl: Ttl


class JobAcceptedReceipt(_Payload):
    """The miner accepted; the executor is taken for up to `ttl` seconds."""

    receipt_type: Literal["JobAcceptedReceipt"] = "JobAcceptedReceipt"
    time_accepted: Moment
    ttl: Ttl


class JobIntervalReceipt(_Payload):
    """An extension: interval number `interval` (from 0) of a long job is over.

    `score_str` is what this interval is worth, in executor seconds. The finished receipt, once it
    is there, counts for the whole job and these no longer do. Published readers of a miner's pages
    skip lines that they do not understand, and so these.
    """

    receipt_type: Literal["JobIntervalReceipt"] = "JobIntervalReceipt"
    interval: int = Field(ge=0, lt=2**31)
    time_started: Moment
    time_took_us: int = Field(ge=0, le=MAX_DURATION_US)
    score_str: str = Field(max_length=256, pattern=_SCORE)


class JobFinishedReceipt(_Payload):
    """What the job is worth: `score_str`, in executor seconds.

    That is its price when it completed; otherwise what it had earned by intervals or, when it was
    cancelled, by the time it used.
    """

    receipt_type: Literal["JobFinishedReceipt"] = "JobFinishedReceipt"
    time_started: Moment
    time_took_us: int = Field(ge=0, le=MAX_DURATION_US)
    score_str: str = Field(max_length=256, pattern=_SCORE)
    block_numbers: list[BlockNumber] = Field(default=[], max_length=10_000)


AnyPayload = JobStartedReceipt | JobAcceptedReceipt | JobIntervalReceipt | JobFinishedReceipt
ReceiptPayload = Annotated[
    AnyPayload,
    Field(discriminator="receipt_type"),
]


class Receipt(BaseModel):
    """A payload with both signatures."""

    model_config = ConfigDict(frozen=True)

    payload: ReceiptPayload
    validator_signature: str
    miner_signature: str

    def verify(self) -> None:
        """Raise `BadSignature` unless both parties signed this payload."""
        blob = self.payload.blob()
        signing.verify_hex(self.payload.validator_hotkey, blob, self.validator_signature)
        signing.verify_hex(self.payload.miner_hotkey, blob, self.miner_signature)


def counter_sign(
    payload: AnyPayload,
    validator_signature: str,
    miner: signing.Signer,
    *,
    is_trusted_miner: bool = False,
) -> Receipt:
    """Add the miner's signature.

    Validators know a trusted miner by its address, so its receipts may name any miner.

    Raises:
        BadSignature: the validator did not sign the payload, or it names another miner.
    """
    if not is_trusted_miner and payload.miner_hotkey != miner.ss58_address:
        raise BadSignature(f"the receipt names another miner, {payload.miner_hotkey}")
    blob = payload.blob()
    signing.verify_hex(payload.validator_hotkey, blob, validator_signature)
    return Receipt(
        payload=payload,
        validator_signature=validator_signature,
        miner_signature=signing.signed_hex(miner, blob),
    )


def valid_at(payload: JobStartedReceipt | JobAcceptedReceipt, now: datetime) -> bool:
    """Whether the receipt reserves an executor at `now`, by its `ttl`."""
    return payload.timestamp <= now <= payload.timestamp + timedelta(seconds=payload.ttl)


def as_json(receipt: Receipt) -> dict[str, Any]:
    """The receipt as the JSON object of one line of a receipts page."""
    return receipt.model_dump(mode="json")
