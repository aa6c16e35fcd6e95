"""Counter-signs the started receipt in a job offer, after checking that it is of that job."""

from compute_horde.errors import BadSignature, RejectionError
from compute_horde.protocol.job import JobOffered
from compute_horde.receipts import Receipt, counter_sign
from compute_horde.signing import Signer
from compute_horde.vocabulary import RejectionReason
from miner.jobs.rules import JobPolicy


def counter_sign_started_receipt(
    offered: JobOffered, validator: str, miner: Signer, policy: JobPolicy
) -> Receipt | None:
    """The started receipt with both signatures; None if it is invalid and need not be valid.

    Raises:
        RejectionError: it is invalid, and must be valid.
    """
    payload = offered.job_started_receipt_payload
    try:
        _check_same_job(offered, validator)
        return counter_sign(
            payload,
            offered.job_started_receipt_signature,
            miner,
            is_trusted_miner=policy.trusted,
        )
    except RejectionError:
        if policy.check_receipts:
            raise
    except BadSignature as exc:
        if policy.check_receipts:
            raise RejectionError(RejectionReason.INVALID_RECEIPT, str(exc)) from exc
    return None


def _check_same_job(offered: JobOffered, validator: str) -> None:
    payload = offered.job_started_receipt_payload
    wanted = (offered.job_uuid, validator, offered.executor_class)
    if (payload.job_uuid, payload.validator_hotkey, payload.executor_class) != wanted:
        raise RejectionError(
            RejectionReason.INVALID_RECEIPT, "the receipt is of another job, validator or class"
        )
