"""Formulas score a cycle: exactly, alike on every machine, with reasons that add up."""

import json
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.validator.scoring.cycle_facts import (
    LLM,
    SPIN_UP,
    cycle_facts,
    executor_counts,
    few_examples,
    job,
    one_class,
    parameter_sets,
    registered,
)
from validator.scoring.facts import CycleFacts, JobOutcome
from validator.scoring.formulas import decimal_text, score_cycle
from validator.scoring.parameters import DEFAULTS, FormulaName


@few_examples
@given(cycle_facts(), parameter_sets())
def test_items_sum_to_the_share_exactly_and_shares_to_one(facts, parameters):
    scored = score_cycle(facts, parameters)
    for miner in scored.miners:
        assert sum(item.amount for item in miner.items) == miner.share
        assert all(item.amount or item.remedy for item in miner.items)
        assert miner.items, "every miner is told why"
    total = sum(miner.share for miner in scored.miners)
    assert total == (1 if any(miner.u16 for miner in scored.miners) else 0)
    assert max(miner.u16 for miner in scored.miners) in (0, 65535)


@few_examples
@given(cycle_facts(), parameter_sets())
def test_the_sums_hold_in_the_texts_too(facts, parameters):
    scored = json.loads(score_cycle(facts, parameters).canonical_json())
    for miner in scored["miners"]:
        amounts = sum((Decimal(item["amount"]) for item in miner["items"]), Decimal(0))
        assert amounts == Decimal(miner["share"])


@few_examples
@given(cycle_facts(), parameter_sets(), st.randoms())
def test_the_order_of_facts_does_not_matter(facts, parameters, random):
    def shuffled(values):
        values = list(values)
        random.shuffle(values)
        return tuple(values)

    other = replace(
        facts,
        miners=shuffled(facts.miners),
        jobs=shuffled(facts.jobs),
        receipts=shuffled(facts.receipts),
        efficiencies=shuffled(facts.efficiencies),
        blocks=shuffled(facts.blocks),
    )
    first, second = score_cycle(facts, parameters), score_cycle(other, parameters)
    assert first.canonical_json() == second.canonical_json()


@few_examples
@given(cycle_facts(), parameter_sets())
def test_parameters_that_were_stored_give_the_same_bytes(facts, parameters):
    stored = type(parameters).model_validate_json(parameters.canonical_json())
    first, second = score_cycle(facts, parameters), score_cycle(facts, stored)
    assert first.canonical_json() == second.canonical_json()


def test_the_bytes_of_a_cycle_are_the_same_on_every_machine():
    jobs = tuple(
        replace(job(hotkey, kind, seconds=Fraction(number, 7)), job_uuid=f"{number}")
        for number, (hotkey, kind) in enumerate([("a", SPIN_UP), ("b", LLM), ("a", LLM)] * 3)
    )
    facts = CycleFacts(708, registered("a", "b", "c"), jobs=jobs, is_peak=False)
    text = "".join(
        score_cycle(facts, DEFAULTS[name]).canonical_json() for name in sorted(FormulaName)
    )
    digest = sha256(text.encode()).hexdigest()
    assert digest == "925fbb420db94df8497bb02e337b0f3136bfe97a8b621ecdbe1bd869d9c630d1"


def test_a_score_says_what_would_have_changed_it():
    facts = CycleFacts(
        708,
        registered("a", "b"),
        jobs=(job("a"), job("b", outcome=JobOutcome.LATE)),
        offered=executor_counts(a=1, b=1),
    )
    scored = score_cycle(facts, one_class())
    assert scored.as_json()["miners"][1] == {
        "hotkey": "b",
        "uid": 1,
        "share": "0",
        "u16": 0,
        "items": [
            {
                "reason": "synthetic jobs answered too late",
                "executor_class": "always_on.llm.a6000",
                "number": "1",
                "unit": "jobs",
                "amount": "0",
                "remedy": "answer within the time limit of the job",
            }
        ],
    }


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (Fraction(0), "0"),
        (Fraction(1, 3), "0.333333333333"),
        (Fraction(-1, 4), "-0.25"),
        (Fraction(10**20), "100000000000000000000"),
        (Fraction(-7, 2), "-3.5"),
        (Fraction(1, 10**13), "0"),
    ],
)
def test_exact_numbers_as_text(number, text):
    assert decimal_text(number) == text


def test_points_of_a_whole_cycle_by_hand():
    """A spin-up horde of two and one user's job against a single executor."""
    jobs = (
        job("a", SPIN_UP),
        job("a", SPIN_UP),
        job("b", SPIN_UP),
        job("b", SPIN_UP, is_organic=True),
    )
    parameters = one_class(kind=SPIN_UP, horde=DEFAULTS[FormulaName.JOBS].horde)
    a, b = score_cycle(CycleFacts(0, registered("a", "b"), jobs=jobs), parameters).miners
    assert float(a.share) == pytest.approx(1.2449 / (1.2449 + 1.5), abs=1e-4)
    assert a.share + b.share == 1
    assert [item.reason for item in b.items] == [
        "completed synthetic jobs",
        "completed users' jobs",
        "horde score of 1 jobs or executors",
    ]
