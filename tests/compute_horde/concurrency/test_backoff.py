"""Pauses grow up to a bound and begin anew after a success."""

from compute_horde.concurrency.backoff import Backoff


def test_pauses_double_up_to_the_longest_and_begin_anew():
    pauses = Backoff(0.5, 3.0)
    assert [pauses.take() for _ in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]
    assert pauses.seconds == 3.0
    pauses.reset()
    assert pauses.take() == 0.5
