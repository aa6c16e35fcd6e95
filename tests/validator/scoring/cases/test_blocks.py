"""The recorded cases about blocks and times."""

import pytest

from tests.validator.scoring.cases.recorded import assert_agrees
from validator.scoring.cases.blocks import CyclesCase


@pytest.mark.parametrize(
    ("kind", "outputs"),
    [
        ("cycles", ["epoch", "cycle", "peak_cycle"]),
        ("commit_reveal", ["interval", "commit_window", "reveal_window", "may_commit"]),
        ("scoring_cycle", ["current_cycle_start", "previous_cycle_start"]),
        ("receipt_page_of_time", ["page"]),
    ],
)
def test_recorded_cases(kind, outputs):
    assert_agrees(kind, *outputs)


def test_the_worked_cycle():
    assert CyclesCase(block=6_000_000, netuid=12, tempo=360).outputs() == {
        "epoch": [5_999_806, 6_000_167],
        "cycle": [5_999_806, 6_000_528],
        "peak_cycle": [5_993_308, 5_994_030],
    }
