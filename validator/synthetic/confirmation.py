"""Checks the results whose verdict is provisional, when all attempts of a batch have ended."""

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal

from compute_horde.faults import Culprit
from compute_horde.receipts import JobFinishedReceipt
from compute_horde.signing import Signer, signed_hex
from validator.receipts.rules import score_text
from validator.receipts.signing import SignedReceipt
from validator.synthetic import outcomes
from validator.synthetic.attempts import Attempt
from validator.synthetic.control.excusing import host_of, upload_urls
from validator.synthetic.kinds.kind import ConfirmingKind, NotVerifiableError, Verdict
from validator.synthetic.outcomes import REASON_CHARACTERS, Outcome

log = logging.getLogger(__name__)

AT_ONCE = 16
# All checks of a batch end so long after they began, since its results are stored only then; of
# larger batches, when there were so many seconds for each attempt.
LEAST_SECONDS, SECONDS_FOR_EACH = 120.0, 0.2
# After so many failures in a row a host is not asked any more.
MOST_FAILURES = 8


async def confirm_all(attempts: Sequence[Attempt], validator: Signer) -> None:
    """Replace provisional verdicts, and the finished receipts that say another score.

    What cannot be read in the time for all is not verified.
    """
    waiting = [
        (one, one.kind)
        for one in attempts
        if one.outcome is Outcome.CORRECT and isinstance(one.kind, ConfirmingKind)
    ]
    reading = _Reading(max(LEAST_SECONDS, SECONDS_FOR_EACH * len(waiting)))
    async with asyncio.TaskGroup() as tasks:
        for one, kind in waiting:
            tasks.create_task(_confirm(one, kind, validator, reading))


class _Reading:
    """What all checks share: a deadline, slots, and the hosts that failed last."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end = asyncio.get_running_loop().time() + seconds
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._failures: Counter[str] = Counter()

    async def verdict(self, attempt: Attempt, kind: ConfirmingKind, given: Verdict) -> Verdict:
        """The verdict of the kind.

        Raises:
            NotVerifiableError: the kind could not tell, the time for all is over, or the host of
                the answers failed too often in a row.
        """
        host = next(map(host_of, upload_urls(attempt.prepared)), "")
        try:
            async with asyncio.timeout_at(self._end) as limit, self._slots:
                if self._failures[host] >= MOST_FAILURES:
                    raise NotVerifiableError(
                        f"{host or 'the bucket'} failed {MOST_FAILURES} times in a row"
                    )
                try:
                    verdict = await kind.confirm(attempt.prepared, given)
                except NotVerifiableError:
                    self._failures[host] += 1
                    raise
                self._failures[host] = 0
                return verdict
        except TimeoutError as exc:
            if not limit.expired():
                raise
            raise NotVerifiableError(
                f"the {self._seconds:g} s for checking all results were over"
            ) from exc


async def _confirm(
    attempt: Attempt, kind: ConfirmingKind, validator: Signer, reading: _Reading
) -> None:
    provisional = Verdict(attempt.points, attempt.reason, attempt.metrics)
    try:
        verdict = await reading.verdict(attempt, kind, provisional)
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
