"""A point for each job completed or declined with an excuse."""

from decimal import Decimal
from fractions import Fraction

from tests.validator.scoring.cycle_facts import (
    LLM,
    TEST,
    executor_counts,
    job,
    one_class,
    registered,
)
from validator.scoring.facts import CycleFacts, JobOutcome
from validator.scoring.parameters import JobParameters
from validator.scoring.points.jobs import job_points


def points(jobs, worth=None, **facts):
    parameters = one_class(jobs=worth or JobParameters())
    return job_points(CycleFacts(0, registered("a"), jobs=tuple(jobs), **facts), parameters)


def items(*jobs, **more):
    (of_a,) = points(jobs, **more)
    return {one.reason: (one.number, one.amount) for one in of_a.statement.items}


def test_each_kind_of_job_earns_a_point():
    assert items(
        job("a"),
        job("a"),
        job("a", is_organic=True),
        job("a", outcome=JobOutcome.EXCUSED),
        job("a", outcome=JobOutcome.EXCUSED, is_organic=True),
    ) == {
        "completed synthetic jobs": (2, 2),
        "completed users' jobs": (1, 1),
        "synthetic jobs declined with an excuse": (1, 1),
        "users' jobs declined with an excuse": (1, 1),
    }


def test_what_earns_nothing_is_listed_with_a_remedy():
    good = ("completed", "excused", "spared")
    bad = [outcome for outcome in JobOutcome if outcome not in good]
    (of_a,) = points([job("a", outcome=outcome) for outcome in bad])
    assert of_a.statement.total == 0
    assert len(of_a.statement.items) == len(bad) == 5
    assert all(one.remedy for one in of_a.statement.items)


def test_a_job_that_a_fault_of_the_validator_spares_is_worth_what_a_completed_one_is():
    worth = JobParameters(synthetic_points=Decimal(2), excused_points=Decimal(0))
    spared = job("a", outcome=JobOutcome.SPARED, fault="the registry of the image failed")
    found = [points([one, job("a")], worth=worth)[0] for one in (spared, job("a"))]
    assert [(one.horde_points, one.horde_size) for one in found] == [(4, 2)] * 2
    (item, _) = sorted(found[0].statement.items, key=lambda one: one.reason, reverse=True)
    assert item.reason == "synthetic jobs excused: the registry of the image failed"
    assert item.amount == 2


def test_jobs_on_the_trusted_miner_and_of_strangers_earn_nothing():
    assert items(job("a", is_trusted=True), job("stranger")) == {"class not offered": (0, 0)}


def test_an_offered_class_without_jobs():
    assert items(offered=executor_counts(a=3)) == {"class offered, but no job": (3, 0)}


def test_points_are_parameters_and_the_limit_of_users_jobs_has_an_effect():
    worth = JobParameters(
        synthetic_points=Decimal(2), organic_points=Decimal("0.5"), organic_limit=1
    )
    found = items(job("a"), job("a", is_organic=True), job("a", is_organic=True), worth=worth)
    assert found == {
        "completed synthetic jobs": (1, 2),
        "completed users' jobs": (1, Fraction(1, 2)),
        "users' jobs above the limit": (1, 0),
    }


def test_work_in_a_class_without_weight_is_listed_too():
    facts = CycleFacts(0, registered("a"), jobs=(job("a", TEST),))
    assert {one.executor_class for one in job_points(facts, one_class())} == {LLM, TEST}


def test_the_horde_counts_synthetic_jobs_only_and_those_of_0_points_too():
    (of_a,) = points([job("a"), job("a", outcome=JobOutcome.WRONG), job("a", is_organic=True)])
    assert (of_a.horde_points, of_a.horde_size) == (1, 2)
    assert of_a.statement.total == 2
