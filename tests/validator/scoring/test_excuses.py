"""A busy miner is excused by the receipts of other work."""

from dataclasses import replace
from fractions import Fraction

import pytest

from validator.scoring.excuses import (
    BusyReceipt,
    DeclinedJob,
    ExcuseRule,
    is_excused,
    valid_excuses,
)

DECLINED = DeclinedJob("declined", "m", "class", is_synthetic=True)
RULE = ExcuseRule("me", Fraction(30000), {"v": Fraction(30000), "small": Fraction(29999)})
GOOD = BusyReceipt(
    kind="started",
    job="j1",
    miner="m",
    validator="v",
    age=Fraction(1),
    ttl=Fraction(10),
    executor_class="class",
    is_organic=True,
    validator_signature_good=True,
)


def counts(declined=DECLINED, **changes):
    return valid_excuses([replace(GOOD, **changes)], declined, RULE) != []


def test_a_good_receipt_counts():
    assert counts()


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "accepted"},
        {"is_organic": False},
        {"is_organic": None},
        {"miner": "other"},
        {"job": "declined"},
        {"validator": "small"},
        {"validator": "unknown"},
        {"executor_class": "other"},
        {"age": Fraction(0)},
        {"age": Fraction(-1)},
        {"age": Fraction(12)},
        {"validator_signature_good": False},
    ],
)
def test_each_flaw_alone_is_enough(changes):
    assert not counts(**changes)


def test_our_own_receipts_need_no_stake():
    assert counts(validator="me")


def test_receipts_count_two_seconds_beyond_their_end():
    assert counts(age=Fraction("11.9"))


def test_synthetic_work_excuses_from_a_users_job():
    assert counts(replace(DECLINED, is_synthetic=False), is_organic=False)


def test_a_job_counts_once():
    receipts = [GOOD, replace(GOOD, ttl=Fraction(99)), replace(GOOD, job="j2")]
    assert [one.job for one in valid_excuses(receipts, DECLINED, RULE)] == ["j1", "j2"]
    # An invalid receipt about a job leaves room for a valid one.
    again = [replace(GOOD, validator_signature_good=False), GOOD]
    assert valid_excuses(again, DECLINED, RULE) == [GOOD]


def test_the_worked_excuses():
    assert is_excused(accepted=1, excuses=3, executors=4)
    assert not is_excused(accepted=1, excuses=2, executors=4)


def test_without_a_manifest_nobody_is_excused():
    assert not is_excused(accepted=3, excuses=3, executors=None)
    assert not is_excused(accepted=3, excuses=3, executors=0)
