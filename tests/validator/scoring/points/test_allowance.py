"""The seconds of users' jobs whose receipts the allowance covers."""

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.validator.scoring.cycle_facts import (
    LLM,
    cycle_facts,
    few_examples,
    one_class,
    registered,
)
from validator.scoring.facts import BlockFact, CycleFacts, ManifestFact, PaidReceipt
from validator.scoring.parameters import AllowanceParameters, FormulaName
from validator.scoring.points.allowance import allowance_points, judged

STAKES = {"us": Fraction(1), "them": Fraction(3)}
BLOCKS = tuple(BlockFact(number, Fraction(12), STAKES) for number in range(30))
# A quarter of the stake, four executors: each block gives "us" twelve seconds.
MANIFESTS = (ManifestFact("a", LLM, 0, 4),)


def receipt(uuid="u1", *, validator="us", cost=24, at=0, blocks=(1, 2), started=20):
    return PaidReceipt(uuid, validator, "a", LLM, Fraction(at), started, Fraction(cost), blocks)


def points(*receipts, manifests=MANIFESTS):
    facts = CycleFacts(0, registered("a"), blocks=BLOCKS, manifests=manifests, receipts=receipts)
    (of_a,) = allowance_points(facts, one_class(FormulaName.ALLOWANCE))
    return {one.reason: (one.number, one.amount) for one in of_a.statement.items}


def test_a_job_that_is_covered_is_paid():
    assert points(receipt()) == {"jobs paid by allowance: 1": (24, 24)}


def test_a_job_that_is_not_covered_is_listed():
    assert points(receipt(cost="24.000001")) == {
        "jobs that the allowance does not cover: 1": (Fraction("24.000001"), 0)
    }


def test_blocks_pay_once_and_the_earlier_receipt_wins_whatever_the_order():
    late, early = receipt("a", at=2, cost=12), receipt("b", at=1, cost=23)
    for order in ((late, early), (early, late)):
        assert points(*order)["jobs paid by allowance: 1"] == (23, 23)


def test_a_receipt_of_the_time_before_uses_blocks_up_and_earns_nothing_again():
    before = replace(receipt("a", cost=12, blocks=(1,)), is_earlier=True)
    assert points(before, receipt("b", at=1)) == {
        "jobs that the allowance does not cover: 1": (24, 0)
    }
    assert points(before, receipt("b", at=1, blocks=(2, 3))) == {
        "jobs paid by allowance: 1": (24, 24)
    }


def test_a_receipt_counts_once():
    assert points(receipt(), receipt()) == {"jobs paid by allowance: 1": (24, 24)}


def test_each_validator_has_an_allowance_of_its_own():
    found = points(receipt(), receipt(validator="them", cost=72))
    assert found == {"jobs paid by allowance: 2": (96, 96)}
    assert "jobs paid by allowance: 1" not in points(receipt(validator="nobody"))


def test_a_drop_of_the_manifest_voids_what_came_before():
    dropped = (*MANIFESTS, ManifestFact("a", LLM, 10, 3))
    assert points(receipt(started=9), manifests=dropped) == {"jobs paid by allowance: 1": (24, 24)}
    assert "jobs paid by allowance: 1" not in points(receipt(started=10), manifests=dropped)
    later = receipt(started=20, blocks=(10, 11, 12), cost=27)
    assert points(later, manifests=dropped) == {"jobs paid by allowance: 1": (27, 27)}


@few_examples
@given(cycle_facts(), st.randoms())
def test_the_order_of_receipts_does_not_matter(facts, random):
    shuffled = list(facts.receipts)
    random.shuffle(shuffled)
    other = CycleFacts(
        facts.cycle_start,
        facts.miners,
        blocks=facts.blocks,
        manifests=facts.manifests,
        receipts=tuple(shuffled),
    )
    assert judged(facts, AllowanceParameters()) == judged(other, AllowanceParameters())


def test_a_job_without_cost_is_explained():
    ((reason, (number, amount)),) = points(receipt(cost=0)).items()
    assert (reason, number, amount) == ("jobs paid by allowance: 1", 0, 0)


@pytest.mark.parametrize("expiry", [0, 5])
def test_parameters_bound_the_age_of_blocks(expiry):
    facts = CycleFacts(
        0, registered("a"), blocks=BLOCKS, manifests=MANIFESTS, receipts=(receipt(),)
    )
    worth = AllowanceParameters(block_expiry=expiry, leeway_lower=0)
    assert judged(facts, worth)["a", LLM].refused_jobs == 1
