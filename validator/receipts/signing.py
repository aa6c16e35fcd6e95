"""Signs the receipts that a miner is sent in the course of one job (protocol §7)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from compute_horde.deadlines import Budget
from compute_horde.protocol.job import JobRequested
from compute_horde.receipts import AnyPayload
from compute_horde.signing import Signer, signed_hex
from validator.receipts import rules


@dataclass(frozen=True, slots=True)
class SignedReceipt:
    """A receipt with the signature of the validator, which the miner counter-signs."""

    payload: AnyPayload
    signature: str


@dataclass
class JobReceiptSigner:
    """Signs the receipts of one job at one miner; `began` is when the miner accepted the job."""

    job: JobRequested
    miner: str
    validator: Signer
    budget: Budget
    is_organic: bool
    began: datetime | None = None
    _accepted: SignedReceipt | None = field(default=None, init=False)

    def sign_started_receipt(self, now: datetime) -> SignedReceipt:
        """The job started receipt, sent with the offer."""
        payload = rules.started_payload(
            self.job,
            miner=self.miner,
            validator=self.validator.ss58_address,
            now=now,
            budget=self.budget,
            is_organic=self.is_organic,
        )
        return self._sign(payload)

    def sign_accepted_receipt(self, now: datetime) -> SignedReceipt:
        """The job accepted receipt; the same one at every call."""
        if self._accepted is None:
            self.began = self.began or now
            self._accepted = self._sign(
                rules.accepted_payload(
                    self.job.uuid,
                    miner=self.miner,
                    validator=self.validator.ss58_address,
                    now=self.began,
                    budget=self.budget,
                )
            )
        return self._accepted

    def sign_interval_receipt(
        self, number: int, *, began: datetime, length: timedelta, score: Decimal, now: datetime
    ) -> SignedReceipt:
        """The receipt for one interval of work; `number` counts from 0."""
        payload = rules.interval_payload(
            self.job.uuid,
            miner=self.miner,
            validator=self.validator.ss58_address,
            now=now,
            number=number,
            began=began,
            length=length,
            score=score,
        )
        return self._sign(payload)

    def sign_finished_receipt(
        self, score: Decimal, now: datetime, blocks: Sequence[int] = ()
    ) -> SignedReceipt:
        """The job finished receipt, with what the job was worth in executor seconds.

        `blocks` are those whose allowance pays for it.
        """
        payload = rules.finished_payload(
            self.job.uuid,
            miner=self.miner,
            validator=self.validator.ss58_address,
            now=now,
            began=self.began or now,
            score=score,
            blocks=blocks,
        )
        return self._sign(payload)

    def _sign(self, payload: AnyPayload) -> SignedReceipt:
        return SignedReceipt(payload, signed_hex(self.validator, payload.blob()))
