"""Over many cycles no window is missed and none gets two transactions, whatever fails."""

import pytest

from benchmarks.many_cycles.soak import NETUID, Soak
from tests.validator.conftest import configured

pytestmark = pytest.mark.django_db

# `python -m benchmarks.many_cycles` runs a thousand.
CYCLES = 15


def test_no_window_is_missed_and_none_gets_two_transactions() -> None:
    outcome = Soak(configured(netuid=NETUID), seed=7).run(CYCLES)
    assert outcome.is_good, outcome
    assert outcome.kills
    assert len(outcome.submissions) > 1, "every first attempt was accepted"
