"""How late the event loop runs."""

import asyncio
import time
from time import monotonic

from tests.eventually import eventually
from validator.synthetic.loop_delay import PIECE_SECONDS, LoopDelay


def measured(*delays: tuple[float, float]) -> LoopDelay:
    delay = LoopDelay()
    for moment, seconds in delays:
        delay.record(moment, seconds)
    return delay


def test_the_worst_delay_within_a_clock_counts() -> None:
    delay = measured((1.0, 0.5), (2.0, 0.1), (3.0, 0.3), (4.0, 0.9))
    assert delay.worst(1.5, 2.5) == 0.3
    assert delay.worst(0.0, 0.5) == 0.5
    assert delay.worst(5.0, 6.0) == 0.0


def test_delays_close_together_are_one_and_the_worst_is_kept() -> None:
    delay = measured((1.0, 0.1), (1.0 + PIECE_SECONDS / 2, 0.4), (1.0 + PIECE_SECONDS * 0.7, 0.2))
    assert (delay._moments, delay._delays) == ([1.0 + PIECE_SECONDS / 2], [0.4])


async def test_a_blocked_loop_is_noticed_while_it_is_blocked_and_afterwards() -> None:
    delay = LoopDelay()
    delay.start()
    began = monotonic()
    await asyncio.sleep(0)
    time.sleep(0.3)
    assert delay.worst_until_now(began) > 0.25
    await eventually(lambda: delay.worst(began, monotonic()) > 0.25)
    assert delay.lateness(began).total_seconds() > 0.25
    delay.stop()


def test_before_the_start_nothing_is_late() -> None:
    assert LoopDelay().worst_until_now(0.0) == 0.0


def test_long_delays_add_up() -> None:
    assert measured((1.0, 0.5), (2.0, 0.01), (3.0, 0.25)).late_seconds == 0.75
