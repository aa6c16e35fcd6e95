"""Every registered miner hears about every class that matters to it."""

from decimal import Decimal

from tests.validator.scoring.cycle_facts import LLM, TEST, registered
from validator.scoring.facts import CycleFacts
from validator.scoring.points.class_points import nothing, places


def test_classes_with_a_worth_or_with_work_of_the_miner():
    facts = CycleFacts(0, registered("b", "a"))
    found = list(places(facts, {LLM: Decimal(1), TEST: Decimal(0)}, {("a", TEST), ("gone", LLM)}))
    assert found == [("b", LLM), ("a", LLM), ("a", TEST)]


def test_nothing_is_explained_by_what_is_missing():
    assert nothing(LLM, offered=0, work="job").reason == "class not offered"
    assert nothing(LLM, offered=2, work="job").reason == "class offered, but no job"
    assert "always_on.llm.a6000" in nothing(LLM, offered=0, work="job").remedy
