"""What is known of miners before a cycle: how fast they are, and what refusals left."""

from fractions import Fraction

import pytest

from compute_horde.cycles import Cycle
from compute_horde.hardware import ExecutorClass
from tests.validator.scores.cycles import CYCLE, attempt, batch, seen
from tests.validator.scoring.cycle_facts import LLM, job
from validator.scores.efficiencies import carried, efficiencies, measured, usual_seconds
from validator.scores.models import ScoredCycle
from validator.scores.recording import facts_json
from validator.scoring.facts import CycleFacts, JobOutcome, KnownEfficiency, RegisteredMiner
from validator.scoring.parameters import DEFAULTS, FormulaName

pytestmark = pytest.mark.django_db

TEST = ExecutorClass.always_on__test
LENGTH = CYCLE.stop - CYCLE.start


def earlier(cycles: int) -> Cycle:
    return Cycle(CYCLE.start - cycles * LENGTH, CYCLE.stop - cycles * LENGTH, CYCLE.number - cycles)


def scored(cycle: Cycle, facts: CycleFacts, formula: FormulaName = FormulaName.SECONDS) -> None:
    ScoredCycle.objects.create(
        cycle_start=cycle.start,
        cycle_stop=cycle.stop,
        formula=formula,
        version="1",
        facts=facts_json(facts),
        parameters=DEFAULTS[formula].canonical_json(),
    )


def facts_of(*jobs, **more) -> CycleFacts:
    return CycleFacts(earlier(1).start, (RegisteredMiner("a", 0),), jobs=jobs, **more)


def test_a_miner_is_as_efficient_as_its_right_answers_were_fast() -> None:
    held = batch()
    for seconds in (2.0, 4.0):
        attempt(held, "slow", metrics={"seconds": seconds, "promised": 2.0})
    attempt(held, "fast", metrics={"seconds": 0.5, "promised": 2.0})
    attempt(held, "other", metrics={"seconds": 9.0})
    attempt(held, "wrong", "wrong_answer", metrics={"seconds": 9.0, "promised": 2.0})
    assert measured(CYCLE.start, CYCLE.stop) == {
        ("slow", TEST): Fraction(3, 4),
        ("fast", TEST): Fraction(1),
    }


def test_a_streaming_job_is_measured_from_the_seed_on() -> None:
    waited = {"seconds": 40.0, "answering_seconds": 4.0, "promised": 2.0}
    attempt(batch(), "a", metrics=waited)
    assert measured(CYCLE.start, CYCLE.stop) == {("a", TEST): Fraction(1, 2)}


def test_only_complete_batches_of_the_last_day_measure() -> None:
    slow = {"metrics": {"seconds": 4.0, "promised": 2.0}}
    attempt(batch(cycle=earlier(9)), "a", **slow)
    attempt(batch(cycle=earlier(10)), "b", **slow)
    attempt(batch("failed"), "c", **slow)
    assert efficiencies(CYCLE) == (KnownEfficiency("a", TEST, Fraction(1, 2)),)


def test_what_refusals_left_is_carried_on() -> None:
    refused = job("a", outcome=JobOutcome.REFUSED, free_executors=1)
    known = (KnownEfficiency("a", LLM, carried=Fraction("0.95")),)
    scored(earlier(1), facts_of(refused, efficiencies=known))
    assert carried(earlier(9).start, CYCLE.start) == {("a", LLM): Fraction("0.85")}
    assert efficiencies(CYCLE) == (KnownEfficiency("a", LLM, carried=Fraction("0.85")),)


def test_a_part_of_a_cycle_remembers_a_whole_day() -> None:
    seen(CYCLE.start)
    attempt(batch(cycle=earlier(9)), "a", metrics={"seconds": 4.0, "promised": 2.0})
    part = Cycle(CYCLE.start, CYCLE.start + 10, CYCLE.number)
    assert efficiencies(part) == (KnownEfficiency("a", TEST, Fraction(1, 2)),)


def test_work_heals_and_what_is_healed_is_carried_no_further() -> None:
    worked = job("a", seconds=Fraction(3600))
    scored(
        earlier(1),
        facts_of(worked, efficiencies=(KnownEfficiency("a", LLM, carried=Fraction("0.95")),)),
    )
    assert carried(earlier(9).start, CYCLE.start) == {}


def test_a_factor_that_no_json_number_holds_is_rounded() -> None:
    worked = job("a", seconds=Fraction("0.007"))
    known = (KnownEfficiency("a", LLM, carried=Fraction("0.5")),)
    scored(earlier(1), facts_of(worked, efficiencies=known))
    left = carried(earlier(9).start, CYCLE.start)["a", LLM]
    assert left == Fraction("0.500000194444")
    facts_json(CycleFacts(0, (), efficiencies=(KnownEfficiency("a", LLM, carried=left),)))


def test_an_earlier_cycle_that_cannot_be_read_costs_no_window(
    caplog: pytest.LogCaptureFixture,
) -> None:
    refused = job("a", outcome=JobOutcome.REFUSED, free_executors=10**6 + 1)
    scored(earlier(1), facts_of(refused))
    assert carried(earlier(9).start, CYCLE.start) == {}
    assert "an earlier cycle cannot be read" in caplog.text


@pytest.mark.parametrize(("cycles", "formula"), [(10, FormulaName.SECONDS), (1, FormulaName.JOBS)])
def test_other_formulas_and_older_cycles_carry_nothing(cycles: int, formula: FormulaName) -> None:
    refused = job("a", outcome=JobOutcome.REFUSED, free_executors=1)
    scored(earlier(cycles), facts_of(refused), formula)
    assert efficiencies(CYCLE) == ()


def test_the_usual_time_of_a_class_is_the_mean_of_its_jobs() -> None:
    jobs = [
        job("a", seconds=Fraction(1)),
        job("a", seconds=Fraction(2)),
        job("b", seconds=Fraction(5)),
    ]
    assert usual_seconds(jobs) == {
        ("a", LLM): Fraction("1.5"),
        ("b", LLM): Fraction(5),
        LLM: Fraction("2.667"),
    }
