"""A scored cycle of one miner that did its job."""

from decimal import Decimal

import pytest

from compute_horde.hardware import ExecutorClass
from tests.peers.keys import VALIDATOR
from tests.validator.conftest import configured
from tests.validator.scores.cycles import CYCLE, NETUID, attempt, batch, registered, seen
from validator.scores.actions import ensure_scored
from validator.scoring.parameters import ScoringParameters


@pytest.fixture
def parameters() -> ScoringParameters:
    return configured(class_weights={ExecutorClass.always_on__test: Decimal(1)}).parameters()


@pytest.fixture
def _scored(parameters: ScoringParameters) -> None:
    seen(CYCLE.start, CYCLE.stop)
    registered("alice")
    attempt(batch(), "alice")
    ensure_scored(CYCLE, NETUID, parameters, VALIDATOR)
