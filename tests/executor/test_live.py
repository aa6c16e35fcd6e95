"""How output and progress leave the executor while a job runs."""

import asyncio
import itertools

import pytest

from compute_horde.adapters.websocket import LineLost
from compute_horde.protocol.extensions import OutputPrinted, ProgressMade
from compute_horde.vocabulary import Stage, Stream
from executor import live as live_module
from executor.live import PIECE_BYTES, WAITING_BYTES, Live
from tests.executor.peer import JOB


class Line:
    """Takes what it is told, unless it is blocked or lost."""

    def __init__(self):
        self.heard = []
        self.free = asyncio.Event()
        self.free.set()
        self.lost = False

    async def say(self, message):
        await self.free.wait()
        if self.lost:
            raise LineLost("gone")
        self.heard.append(message)

    async def has(self, count):
        async with asyncio.timeout(10):
            while len(self.heard) < count:
                await asyncio.sleep(0.005)


@pytest.fixture
async def line():
    return Line()


@pytest.fixture
async def live(line):
    one = Live(line.say, JOB, lambda: Stage.EXECUTION)
    task = one.start()
    yield one
    task.cancel()


def texts(line):
    return [(one.stream, one.text) for one in line.heard if isinstance(one, OutputPrinted)]


def ends_meet(pieces):
    return all(one.end == two.offset for one, two in itertools.pairwise(pieces))


async def test_the_first_output_is_told_at_once_and_the_next_in_company(live, line):
    live.printed(False, b"first\n")
    await line.has(1)
    for _ in range(50):
        live.printed(False, b"x\n")
    await live.flush()
    assert texts(line) == [(Stream.STDOUT, "first\n"), (Stream.STDOUT, "x\n" * 50)]


async def test_the_order_of_both_streams_stays(live, line):
    for data, is_stderr in ((b"a", False), (b"b", True), (b"c", False)):
        live.printed(is_stderr, data)
    await live.flush()
    assert texts(line) == [(Stream.STDOUT, "a"), (Stream.STDERR, "b"), (Stream.STDOUT, "c")]
    assert ends_meet(line.heard)


async def test_a_character_in_two_parts_is_one_and_half_a_one_is_replaced_at_the_end(live, line):
    data = "ö€".encode()
    for start in range(len(data)):
        live.printed(False, data[start : start + 1])
        live.printed(True, b"")
    live.printed(False, b"\xc3")
    await live.flush()
    assert "".join(text for _, text in texts(line)) == "ö€\N{REPLACEMENT CHARACTER}"
    assert line.heard[0].offset == 0
    assert ends_meet(line.heard)


async def test_much_output_goes_in_pieces_of_bounded_size(live, line):
    live.printed(False, b"x" * (3 * PIECE_BYTES + 1))
    await live.flush()
    assert [len(text) for _, text in texts(line)] == [PIECE_BYTES] * 3 + [1]
    assert ends_meet(line.heard)


async def test_a_slow_miner_costs_the_oldest_output_and_no_memory(live, line):
    line.free.clear()
    total = 3 * WAITING_BYTES
    for _ in range(total // PIECE_BYTES):
        live.printed(False, b"x" * PIECE_BYTES)
        await asyncio.sleep(0)
    assert live._size <= WAITING_BYTES
    line.free.set()
    await live.flush()
    assert line.heard[-1].end == total
    assert not ends_meet(line.heard)
    assert sum(len(text) for _, text in texts(line)) < total


async def test_a_miner_that_takes_nothing_does_not_hold_up_the_end(live, line, monkeypatch):
    monkeypatch.setattr(live_module, "FLUSH_SECONDS", 0.05)
    line.free.clear()
    live.printed(False, b"x")
    async with asyncio.timeout(5):
        await live.flush()
    assert line.heard == []


async def test_a_lost_miner_is_others_news(live, line):
    line.lost = True
    live.printed(False, b"x")
    await live.flush()
    live.printed(False, b"y")
    assert line.heard == []


async def test_progress_is_told_now_and_then_and_when_all_is_there(live, line):
    for done in range(0, 1001):
        live.tell("image " + "x" * 300, done, 1000)
    await line.has(1)
    live.printed(False, b"x")
    await live.flush()
    made = [one for one in line.heard if isinstance(one, ProgressMade)]
    assert made[-1].done_bytes == made[-1].total_bytes == 1000
    assert len(made) < 5
    assert (made[-1].stage, len(made[-1].what)) == (Stage.EXECUTION, 200)
