"""How many executors are busy, by receipts."""

from datetime import UTC, datetime, timedelta

import pytest

from compute_horde.vocabulary import ReceiptType
from validator.receipts.busy import KnownReceipt, busy_executors

THEN = datetime(2026, 1, 1, tzinfo=UTC)
CLASS, OTHER_CLASS = "always_on.gpu-24gb", "always_on.llm.a6000"


def at(seconds: float) -> datetime:
    return THEN + timedelta(seconds=seconds)


def started(job: str = "j", **changes: object) -> KnownReceipt:
    fields = {"valid_until": at(7), "executor_class": CLASS, "is_organic": True} | changes
    return KnownReceipt(
        job, ReceiptType.STARTED, "m", **{"validator": "v", "timestamp": THEN} | fields
    )


def accepted(job: str = "j", **changes: object) -> KnownReceipt:
    fields = {"validator": "v", "timestamp": at(2), "valid_until": at(60)} | changes
    return KnownReceipt(job, ReceiptType.ACCEPTED, "m", **fields)


def finished(job: str = "j", seconds: float = 30, **changes: object) -> KnownReceipt:
    fields = {"validator": "v", "timestamp": at(seconds)} | changes
    return KnownReceipt(job, ReceiptType.FINISHED, "m", **fields)


@pytest.mark.parametrize(("seconds", "busy"), [(-0.001, 0), (0, 1), (7, 1), (7.001, 0)])
def test_a_started_receipt_holds_an_executor_as_long_as_it_is_valid(
    seconds: float, busy: int
) -> None:
    assert busy_executors([started()], at(seconds))[CLASS] == busy


@pytest.mark.parametrize(("seconds", "busy"), [(7.001, 1), (60, 1), (60.001, 0)])
def test_an_accepted_receipt_holds_it_longer(seconds: float, busy: int) -> None:
    assert busy_executors([started(), accepted()], at(seconds))[CLASS] == busy


def test_a_job_counts_once() -> None:
    assert busy_executors([started(), accepted()], at(5)) == {CLASS: 1}


@pytest.mark.parametrize(("seconds", "busy"), [(29.999, 1), (30, 0)])
def test_a_finished_receipt_frees_the_executor_from_its_date_on(seconds: float, busy: int) -> None:
    receipts = [finished(), accepted(), started()]
    assert busy_executors(receipts, at(seconds))[CLASS] == busy


def test_the_finished_receipt_of_another_validator_frees_nothing() -> None:
    receipts = [started(), accepted(), finished(validator="other", seconds=3)]
    assert busy_executors(receipts, at(10)) == {CLASS: 1}


def test_classes_are_counted_apart_and_an_unknown_one_not() -> None:
    receipts = [
        started("a"),
        started("b"),
        started("c", executor_class=OTHER_CLASS),
        accepted("d"),
    ]
    assert busy_executors(receipts, at(5)) == {CLASS: 2, OTHER_CLASS: 1}
