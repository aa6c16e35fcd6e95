"""Errors of jobs name the party at fault, from the table in `compute_horde.faults`."""

import pytest

from compute_horde.faults import Culprit
from compute_horde_sdk.fault_attribution import NO_TRUSTED_MINER, fault_of_error
from compute_horde_sdk.job_status import (
    ComputeHordeHordeFailure,
    ComputeHordeJobFailure,
    ComputeHordeJobRejection,
)


@pytest.mark.parametrize(
    ("error", "blamed"),
    [
        (ComputeHordeJobFailure("nonzero_return_code", "m", stage="execution"), Culprit.USER),
        (
            ComputeHordeJobRejection("no_miner_for_job", "m", rejected_by="validator"),
            Culprit.NOBODY,
        ),
        (ComputeHordeHordeFailure("a new word", "m", "a new party"), None),
    ],
)
def test_every_kind_of_error_has_a_fault_and_an_advice(error, blamed):
    fault = fault_of_error(error)
    assert blamed in (None, fault.blamed)
    assert fault.advice


def test_a_job_for_a_trusted_miner_that_is_not_there_is_told_so():
    error = ComputeHordeJobRejection("no_miner_for_job", "m", rejected_by="validator")
    assert fault_of_error(error, on_trusted_miner=True).advice == NO_TRUSTED_MINER
    assert fault_of_error(error).advice != NO_TRUSTED_MINER
