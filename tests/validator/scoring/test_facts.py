"""Facts do not contradict each other."""

from fractions import Fraction

import pytest
from pydantic import TypeAdapter, ValidationError

from compute_horde.hardware import ExecutorClass
from validator.scoring.facts import (
    BlockFact,
    CycleFacts,
    ExecutorCount,
    KnownEfficiency,
    MainHotkeys,
    RegisteredMiner,
    WorkedJob,
    by_miner,
    instant,
)

LLM = ExecutorClass.always_on__llm__a6000
KNOWN = KnownEfficiency("a", LLM)


@pytest.mark.parametrize(
    "facts",
    [
        {"miners": (RegisteredMiner("a", 1), RegisteredMiner("a", 2))},
        {"miners": (RegisteredMiner("a", 1), RegisteredMiner("b", 1))},
        {"main_hotkeys": (MainHotkeys("c"), MainHotkeys("c"))},
        {"blocks": (BlockFact(1, Fraction(12), {}), BlockFact(1, Fraction(12), {}))},
        {"efficiencies": (KNOWN, KNOWN)},
    ],
)
def test_a_fact_is_there_once(facts):
    with pytest.raises(ValueError, match="is there twice"):
        CycleFacts(0, **{"miners": (), **facts})


def test_facts_are_read_from_json():
    text = """{"cycle_start": 708, "miners": [{"hotkey": "a", "uid": 0}],
        "jobs": [{"job_uuid": "u", "hotkey": "a", "executor_class": "always_on.llm.a6000",
        "outcome": "completed", "seconds": 12.5}]}"""
    facts = TypeAdapter(CycleFacts).validate_json(text)
    assert facts.jobs[0].seconds == Fraction(25, 2)
    assert isinstance(facts.jobs[0], WorkedJob)


@pytest.mark.parametrize("field", ['"seconds": -1', '"outcome": "lost"', '"free_executors": -1'])
def test_impossible_facts_are_refused(field):
    text = f"""{{"cycle_start": 708, "miners": [], "jobs": [{{"job_uuid": "u", "hotkey": "a",
        "executor_class": "always_on.test", "outcome": "completed", {field}}}]}}"""
    with pytest.raises(ValidationError):
        TypeAdapter(CycleFacts).validate_json(text)


def test_the_order_of_events():
    times = [Fraction(1, 3), Fraction(2, 7), Fraction(-1), Fraction(10**10)]
    assert sorted(times, key=instant) == sorted(times)
    assert instant(Fraction(1, 1000)) == 10**9


def test_counts_by_miner():
    assert by_miner([ExecutorCount("a", LLM, 2)]) == {"a": {LLM: 2}}
