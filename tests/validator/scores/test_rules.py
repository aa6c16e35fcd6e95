"""Attempts count for and against their miner, and never for what another party did."""

import pytest

from compute_horde.faults import Culprit
from validator.scores.rules import OUTCOMES, counts_as
from validator.scoring.facts import JobOutcome
from validator.synthetic.outcomes import Outcome


def test_every_outcome_is_decided() -> None:
    undecided = {Outcome.OPEN, Outcome.VALIDATOR_FAILED, Outcome.INTERRUPTED}
    assert set(Outcome) - set(OUTCOMES) == undecided
    for outcome in undecided:
        assert counts_as(outcome, Culprit.MINER, excused=False) is None


def test_a_right_answer_counts_whoever_is_blamed() -> None:
    for blamed in Culprit:
        assert counts_as(Outcome.CORRECT, blamed, excused=False) is JobOutcome.COMPLETED


@pytest.mark.parametrize("outcome", sorted(set(OUTCOMES) - {Outcome.CORRECT}))
def test_a_failure_counts_against_the_miner_that_is_to_blame_for_it_only(outcome: Outcome) -> None:
    for blamed in Culprit:
        expected = OUTCOMES[outcome] if blamed is Culprit.MINER else None
        assert counts_as(outcome, blamed, excused=False) is expected


def test_what_a_control_fault_explains_is_spared_whoever_is_blamed() -> None:
    for blamed in Culprit:
        found = counts_as(Outcome.UNREACHABLE, blamed, excused=False, control_fault="uplink")
        assert found is JobOutcome.SPARED


def test_an_excuse_counts_as_such() -> None:
    assert counts_as(Outcome.DECLINED_BUSY, Culprit.MINER, excused=True) is JobOutcome.EXCUSED
