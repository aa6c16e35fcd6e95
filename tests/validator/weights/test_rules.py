"""The window of blocks in which weights are set."""

from compute_horde.cycles import Cycle, cycle_at
from validator.weights import rules


def test_on_the_live_network_the_window_is_the_published_one() -> None:
    assert rules.window(Cycle(5_999_820, 6_000_542, 0)) == range(6_000_181, 6_000_527)


def test_a_short_cycle_has_a_window_too() -> None:
    assert rules.window(Cycle(100, 120, 5)) == range(110, 120)
    assert rules.window(Cycle(0, 2, 0)) == range(1, 2)


def test_the_cycle_before_is_paid() -> None:
    cycle = cycle_at(6_000_000, netuid=12, tempo=360)
    paid = rules.paid_cycle(cycle, netuid=12, tempo=360)
    assert (paid.stop, paid.number) == (cycle.start, cycle.number - 1)


def test_a_silent_try_is_waited_for_a_quarter_of_the_window() -> None:
    assert rules.claim_blocks(Cycle(5_999_820, 6_000_542, 0)) == 86
    assert rules.claim_blocks(Cycle(0, 2, 0)) == 1
