"""Checks the results whose verdict is provisional, when all attempts of a batch have ended."""

import asyncio
import logging
from collections.abc import Sequence
from decimal import Decimal

from compute_horde.faults import Culprit
from compute_horde.receipts import JobFinishedReceipt
from compute_horde.signing import Signer, signed_hex
from validator.receipts.rules import score_text
from validator.receipts.signing import SignedReceipt
from validator.synthetic import outcomes
from validator.synthetic.attempts import Attempt
from validator.synthetic.kinds.kind import ConfirmingKind, NotVerifiableError, Verdict
from validator.synthetic.outcomes import REASON_CHARACTERS, Outcome

log = logging.getLogger(__name__)

AT_ONCE = 100


async def confirm_all(attempts: Sequence[Attempt], validator: Signer) -> None:
    """Replace provisional verdicts, and the finished receipts that say another score."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def confirm(attempt: Attempt, kind: ConfirmingKind) -> None:
        async with slots:
            await _confirm(attempt, kind, validator)

    async with asyncio.TaskGroup() as tasks:
        for one in attempts:
            if one.outcome is Outcome.CORRECT and isinstance(one.kind, ConfirmingKind):
                tasks.create_task(confirm(one, one.kind))


async def _confirm(attempt: Attempt, kind: ConfirmingKind, validator: Signer) -> None:
    provisional = Verdict(attempt.points, attempt.reason, attempt.metrics)
    try:
        verdict = await kind.confirm(attempt.prepared, provisional)
    except NotVerifiableError as exc:
        _cannot_tell(attempt, str(exc))
    except Exception as exc:
        log.exception("a result could not be checked", extra={"job": attempt.request.uuid})
        _cannot_tell(attempt, f"{type(exc).__name__}: {exc}")
    else:
        attempt.outcome = Outcome.CORRECT if verdict.points else Outcome.WRONG_ANSWER
        attempt.points, attempt.metrics = verdict.points, dict(verdict.metrics)
        attempt.reason = verdict.reason[:REASON_CHARACTERS]
        attempt.blamed = outcomes.blamed_for_answer(attempt.outcome)
    if attempt.points != provisional.points and attempt.receipts:
        attempt.receipts[-1] = _with_points(attempt.receipts[-1], attempt.points, validator)


def _cannot_tell(attempt: Attempt, why: str) -> None:
    attempt.outcome, attempt.points = Outcome.VALIDATOR_FAILED, 0
    attempt.blamed, attempt.is_unverified = Culprit.VALIDATOR, True
    attempt.reason = f"not verified: {why}"[:REASON_CHARACTERS]


def _with_points(receipt: SignedReceipt, points: int, validator: Signer) -> SignedReceipt:
    """The finished receipt with another score; the rest stays as it was."""
    if not isinstance(receipt.payload, JobFinishedReceipt):
        return receipt
    payload = receipt.payload.model_copy(update={"score_str": score_text(Decimal(points))})
    return SignedReceipt(payload, signed_hex(validator, payload.blob()))
