"""The facts of a cycle are what this validator saw in it, and nothing else."""

from fractions import Fraction

import pytest

from compute_horde.cycles import Cycle
from compute_horde.faults import Culprit
from compute_horde.hardware import ExecutorClass
from tests.validator.scores.cycles import (
    BEGAN,
    CYCLE,
    attempt,
    batch,
    registered,
    seen,
    users_job,
)
from validator.scores.collect import collect, time_of
from validator.scoring.facts import ExecutorCount, JobOutcome, RegisteredMiner
from validator.synthetic.outcomes import Outcome

pytestmark = pytest.mark.django_db

TEST = ExecutorClass.always_on__test


@pytest.fixture(autouse=True)
def _cycle() -> None:
    seen(700, 722, 1000, 1444, 1500)
    registered("alice", "bob")


def test_the_miners_and_what_they_offer() -> None:
    facts = collect(CYCLE)
    assert facts.cycle_start == 722
    assert facts.miners == (
        RegisteredMiner("alice", 0, "cold-alice"),
        RegisteredMiner("bob", 1, "cold-bob"),
    )
    assert facts.offered == (ExecutorCount("alice", TEST, 2), ExecutorCount("bob", TEST, 2))


@pytest.mark.parametrize(
    ("ended_as", "counts_as"),
    [
        ("correct", JobOutcome.COMPLETED),
        ("wrong_answer", JobOutcome.WRONG),
        ("too_late", JobOutcome.LATE),
        ("unreachable", JobOutcome.FAILED),
        ("declined_busy", JobOutcome.REFUSED),
    ],
)
def test_an_attempt_of_the_batch_counts_as_it_ended(ended_as: str, counts_as: JobOutcome) -> None:
    attempt(batch(), "alice", ended_as)
    (job,) = collect(CYCLE).jobs
    assert (job.hotkey, job.executor_class, job.outcome) == ("alice", TEST, counts_as)
    assert not job.is_organic


def test_a_busy_miner_with_receipts_is_excused() -> None:
    attempt(batch(), "alice", "declined_busy", excused=True, blamed=Culprit.NOBODY)
    (job,) = collect(CYCLE).jobs
    assert job.outcome is JobOutcome.EXCUSED


@pytest.mark.parametrize("blamed", sorted(set(Culprit) - {Culprit.MINER}))
def test_what_is_not_the_miners_fault_does_not_count(blamed: Culprit) -> None:
    attempt(batch(), "alice", "unreachable", blamed=blamed)
    assert collect(CYCLE).jobs == ()


@pytest.mark.parametrize("outcome", ["open", "validator_failed", "interrupted"])
def test_attempts_without_an_end_of_the_miners_do_not_count(outcome: str) -> None:
    attempt(batch(), "alice", outcome)
    assert collect(CYCLE).jobs == ()


def test_every_outcome_is_decided() -> None:
    from validator.scores.collect import OUTCOMES

    assert set(Outcome) - set(OUTCOMES) == {
        Outcome.OPEN,
        Outcome.VALIDATOR_FAILED,
        Outcome.INTERRUPTED,
    }


@pytest.mark.parametrize("state", ["running", "failed", "interrupted"])
def test_only_complete_batches_of_the_cycle_count(state: str) -> None:
    attempt(batch(state), "alice")
    attempt(batch(cycle=Cycle(0, 722, 0)), "alice")
    assert collect(CYCLE).jobs == ()


def test_users_jobs_count_in_the_cycle_in_which_they_ended() -> None:
    for block in (721, 1444):
        users_job("alice", block)
    inside = users_job("bob", 1443, seconds=90)
    (job,) = collect(CYCLE).jobs
    assert (job.job_uuid, job.hotkey, job.outcome) == (
        str(inside.pk),
        "bob",
        JobOutcome.COMPLETED,
    )
    assert job.is_organic
    assert job.seconds == Fraction(90)


@pytest.mark.parametrize("fields", [{"kind": "admin"}, {"state": "failed"}, {"miner": ""}])
def test_other_jobs_do_not_count(fields: dict[str, str]) -> None:
    users_job("alice", 800, **fields)
    assert collect(CYCLE).jobs == ()


def test_the_time_of_a_block_is_when_it_was_first_seen() -> None:
    assert time_of(722) == BEGAN
    assert time_of(701) == BEGAN
    assert time_of(5000) is None
