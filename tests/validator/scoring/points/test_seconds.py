"""Seconds of work times the value of the class times the efficiency factor."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given

from tests.validator.scoring.cycle_facts import (
    LLM,
    SPIN_UP,
    cycle_facts,
    few_examples,
    job,
    registered,
    with_parameters,
)
from validator.scoring.facts import CycleFacts, JobOutcome, KnownEfficiency
from validator.scoring.parameters import FormulaName, SecondsParameters
from validator.scoring.points.seconds import second_points

WORTH = SecondsParameters(class_values={LLM: Decimal(2)}, healing_per_hour=Decimal(0))
REFUSED = JobOutcome.REFUSED


def worked(seconds, **more):
    return job("a", seconds=Fraction(seconds), **more)


def items(*jobs, worth=WORTH, **facts):
    given_facts = CycleFacts(0, registered("a"), jobs=jobs, **facts)
    (of_a,) = second_points(given_facts, with_parameters(FormulaName.SECONDS, seconds=worth))
    return {one.reason: (one.number, one.amount) for one in of_a.statement.items}


def test_users_jobs_and_benchmarks_count_alike():
    assert items(worked(100), worked(50), worked(30, is_organic=True)) == {
        "work on benchmarks": (150, 300),
        "work on users' jobs": (30, 60),
    }


def test_a_job_that_a_fault_of_the_validator_spares_counts_the_seconds_it_would_have_taken():
    spared = worked(20, outcome=JobOutcome.SPARED, fault="the uplink failed")
    assert items(worked(100), spared) == {
        "work on benchmarks": (100, 200),
        "jobs excused: the uplink failed": (20, 40),
    }


def test_the_measured_efficiency_counts():
    known = (KnownEfficiency("a", LLM, measured=Fraction("0.95")),)
    assert items(worked(100), efficiencies=known) == {
        "work on benchmarks": (100, 200),
        "measured efficiency": (Fraction("0.95"), -10),
    }


def test_a_refusal_while_executors_are_free_takes_off_a_step():
    refused = job("a", outcome=REFUSED, free_executors=2)
    assert items(worked(100), refused) == {
        "work on benchmarks": (100, 200),
        "refused while 2 executors were free: factor 0.9 in the end": (Fraction("-0.1"), -20),
    }


@pytest.mark.parametrize(
    "harmless", [{"outcome": REFUSED}, {"outcome": JobOutcome.EXCUSED, "free_executors": 2}]
)
def test_refusals_of_the_busy_and_excused_cost_nothing(harmless):
    assert items(worked(100), job("a", **harmless)) == {"work on benchmarks": (100, 200)}


def test_refusals_heal_with_work_and_what_is_left_is_carried_on():
    worth = WORTH.model_copy(update={"healing_per_hour": Decimal("0.1")})
    found = items(
        job("a", outcome=REFUSED, free_executors=1, at=Fraction(1)),
        job("a", outcome=REFUSED, free_executors=3, at=Fraction(2)),
        worked(1800, at=Fraction(3)),
        worth=worth,
        efficiencies=(KnownEfficiency("a", LLM, carried=Fraction("0.9")),),
    )
    assert found == {
        "work on benchmarks": (1800, 3600),
        "factor of earlier cycles": (Fraction("0.9"), -360),
        "healed by work": (Fraction("0.05"), 180),
        "refused 2 times while up to 3 executors were free: factor 0.75 in the end": (
            Fraction("-0.2"),
            -720,
        ),
    }


def test_refusals_without_any_work_are_listed():
    found = items(job("a", outcome=REFUSED, free_executors=1))
    assert found == {
        "class not offered": (0, 0),
        "refused while 1 executor was free: factor 0.9 in the end": (Fraction("-0.1"), 0),
    }


def test_work_that_came_to_nothing_is_listed():
    found = items(worked(5, outcome=JobOutcome.FAILED), worked(5, outcome=JobOutcome.CHEATED))
    assert found == {"jobs not completed": (2, 0)}


def test_a_class_without_value_is_explained():
    given_facts = CycleFacts(0, registered("a"), jobs=(job("a", SPIN_UP, seconds=Fraction(9)),))
    found = second_points(given_facts, with_parameters(FormulaName.SECONDS, seconds=WORTH))
    (item,) = next(one for one in found if one.executor_class == SPIN_UP).statement.items
    assert (item.amount, item.remedy) == (0, "a second of this class has no value in this cycle")


@few_examples
@given(cycle_facts())
def test_points_are_value_times_factor_times_seconds(facts):
    worth = SecondsParameters(class_values={LLM: Decimal(3)}, refusal_step=Decimal("0.25"))
    found = second_points(facts, with_parameters(FormulaName.SECONDS, seconds=worth))
    known = {(one.hotkey, one.executor_class): one for one in facts.efficiencies}
    for one in found:
        if one.executor_class != LLM:
            assert one.statement.total == 0
            continue
        of_a = [job for job in facts.jobs if (job.hotkey, job.executor_class) == (one.hotkey, LLM)]
        before = known.get((one.hotkey, LLM)) or KnownEfficiency(one.hotkey, LLM)
        factor, seconds = before.carried, Fraction(0)
        for each in sorted(of_a, key=lambda job: (job.at, job.job_uuid)):
            if each.outcome in (JobOutcome.COMPLETED, JobOutcome.SPARED):
                factor = min(1, factor + each.seconds * Fraction("0.1") / 3600)
                seconds += each.seconds
            elif each.outcome == REFUSED and each.free_executors:
                factor = max(0, factor - Fraction("0.25"))
        assert one.statement.total == 3 * seconds * factor * before.measured
