"""Provisional verdicts are checked when all attempts have ended."""

import asyncio
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from compute_horde.faults import Culprit
from compute_horde.signing import verify_hex
from tests.peers.keys import VALIDATOR
from tests.validator.conftest import configured
from tests.validator.synthetic.making import KIND, attempt
from validator.jobs.rules import budget
from validator.receipts.signing import JobReceiptSigner
from validator.synthetic import confirmation
from validator.synthetic.attempts import Attempt
from validator.synthetic.confirmation import confirm_all
from validator.synthetic.kinds.hash_kind import HashKind
from validator.synthetic.kinds.kind import NotVerifiableError, PreparedJob, Verdict
from validator.synthetic.outcomes import Outcome


class Confirming(HashKind):
    """A kind that finds what it is told to."""

    def __init__(self, found: Verdict | Exception) -> None:
        self.found = found

    async def confirm(self, job: PreparedJob, provisional: Verdict) -> Verdict:
        assert provisional == Verdict(1, "hash", {"seconds": 2.0})
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


def ended(found: Verdict | Exception | None) -> Attempt:
    """An attempt with a point, and the receipt for it."""
    one = attempt("5Miner")
    one.kind = KIND if found is None else Confirming(found)
    one.outcome, one.points, one.reason = Outcome.CORRECT, 1, "hash"
    one.metrics = {"seconds": 2.0}
    limits = budget(one.request, configured().timing)
    signer = JobReceiptSigner(one.request, "5Miner", VALIDATOR, limits, is_organic=False)
    one.receipts = [signer.sign_finished_receipt(Decimal(1), datetime.now(UTC))]
    return one


@pytest.mark.parametrize(
    ("found", "outcome", "blamed", "points"),
    [
        (None, Outcome.CORRECT, Culprit.NOBODY, 1),
        (Verdict(1, "right", {"tokens": 5}), Outcome.CORRECT, Culprit.NOBODY, 1),
        (Verdict(0, "wrong"), Outcome.WRONG_ANSWER, Culprit.MINER, 0),
        (NotVerifiableError("no bucket"), Outcome.VALIDATOR_FAILED, Culprit.VALIDATOR, 0),
        (ZeroDivisionError("ours"), Outcome.VALIDATOR_FAILED, Culprit.VALIDATOR, 0),
    ],
)
async def test_the_verdict_is_replaced_with_its_receipt(
    found: Verdict | Exception | None, outcome: Outcome, blamed: Culprit, points: int
) -> None:
    one = ended(found)
    before = one.receipts[-1]
    await confirm_all([one], VALIDATOR)
    assert (one.outcome, one.blamed, one.points) == (outcome, blamed, points)
    receipt = one.receipts[-1]
    assert receipt.payload.score_str == f"{points}.000000"
    verify_hex(VALIDATOR.ss58_address, receipt.payload.blob(), receipt.signature)
    assert (receipt == before) is (points == 1)
    assert receipt.payload.time_took_us == before.payload.time_took_us
    if isinstance(found, Verdict):
        assert (one.reason, one.metrics) == (found.reason, dict(found.metrics))
    if isinstance(found, Exception):
        assert one.reason.startswith("not verified: ")
    assert one.is_unverified is isinstance(found, Exception)


async def test_attempts_without_a_point_are_not_checked() -> None:
    one = ended(AssertionError())
    one.outcome, one.points = Outcome.TOO_LATE, 0
    await confirm_all([one], VALIDATOR)
    assert one.outcome is Outcome.TOO_LATE


class Hanging(Confirming):
    """A kind whose bucket never answers."""

    async def confirm(self, job: PreparedJob, provisional: Verdict) -> Verdict:
        await asyncio.Event().wait()
        raise AssertionError


async def test_all_checks_together_have_one_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confirmation, "LEAST_SECONDS", 0.2)
    monkeypatch.setattr(confirmation, "SECONDS_FOR_EACH", 0.0)
    waiting = [ended(Verdict(1, "right")) for _ in range(3 * confirmation.AT_ONCE)]
    for one in waiting:
        one.kind = Hanging(Verdict(0, ""))
    async with asyncio.timeout(5):
        await confirm_all(waiting, VALIDATOR)
    assert {one.reason for one in waiting} == {
        "not verified: the 0.2 s for checking all results were over"
    }
    assert all(one.is_unverified for one in waiting)


@pytest.mark.parametrize(("works_at", "asked"), [((), 3), ((2, 4), 8)])
async def test_a_host_that_keeps_failing_is_not_asked_any_more(
    works_at: tuple[int, ...], asked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confirmation, "MOST_FAILURES", 3)
    monkeypatch.setattr(confirmation, "AT_ONCE", 1)
    calls: list[int] = []

    class Failing(Confirming):
        async def confirm(self, job: PreparedJob, provisional: Verdict) -> Verdict:
            calls.append(len(calls))
            if calls[-1] in works_at:
                return Verdict(1, "right")
            raise NotVerifiableError("no bucket")

    waiting = [ended(Verdict(1, "right")) for _ in range(10)]
    for one in waiting:
        one.kind = Failing(Verdict(0, ""))
    await confirm_all(waiting, VALIDATOR)
    assert len(calls) == asked
    assert waiting[-1].reason == "not verified: the bucket failed 3 times in a row"
    assert [one.points for one in waiting[:5]] == [int(n in works_at) for n in range(5)]
