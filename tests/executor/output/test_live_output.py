"""Output and progress are streamed while a job runs."""

import asyncio
import itertools

import pytest

from compute_horde.adapters.websocket import ConnectionLostError
from compute_horde.protocol.extensions import OutputPrinted, ProgressMade
from compute_horde.vocabulary import Stage, Stream
from executor.output import live_output as live_module
from executor.output.live_output import MAX_WAITING_BYTES, PIECE_BYTES, LiveOutputSender
from tests.eventually import eventually
from tests.peers.executors_miner import JOB


class MessageSocket:
    """A connection that records messages, unless it is blocked or lost."""

    def __init__(self):
        self.received = []
        self.free = asyncio.Event()
        self.free.set()
        self.lost = False

    async def send(self, message):
        await self.free.wait()
        if self.lost:
            raise ConnectionLostError("gone")
        self.received.append(message)

    async def has(self, count):
        await eventually(lambda: len(self.received) >= count)


@pytest.fixture
async def line():
    return MessageSocket()


@pytest.fixture
async def sender(line):
    one = LiveOutputSender(line.send, JOB, lambda: Stage.EXECUTION)
    task = one.start()
    yield one
    task.cancel()


def texts(line):
    return [(one.stream, one.text) for one in line.received if isinstance(one, OutputPrinted)]


def ends_meet(pieces):
    return all(one.end == two.offset for one, two in itertools.pairwise(pieces))


async def test_the_first_output_is_told_at_once_and_the_next_in_company(sender, line):
    sender.printed(False, b"first\n")
    await line.has(1)
    for _ in range(50):
        sender.printed(False, b"x\n")
    await sender.flush()
    assert texts(line) == [(Stream.STDOUT, "first\n"), (Stream.STDOUT, "x\n" * 50)]


async def test_the_order_of_both_streams_stays(sender, line):
    for data, is_stderr in ((b"a", False), (b"b", True), (b"c", False)):
        sender.printed(is_stderr, data)
    await sender.flush()
    assert texts(line) == [(Stream.STDOUT, "a"), (Stream.STDERR, "b"), (Stream.STDOUT, "c")]
    assert ends_meet(line.received)


async def test_a_character_in_two_parts_is_one_and_half_a_one_is_replaced_at_the_end(sender, line):
    data = "ö€".encode()
    for start in range(len(data)):
        sender.printed(False, data[start : start + 1])
        sender.printed(True, b"")
    sender.printed(False, b"\xc3")
    await sender.flush()
    assert "".join(text for _, text in texts(line)) == "ö€\N{REPLACEMENT CHARACTER}"
    assert line.received[0].offset == 0
    assert ends_meet(line.received)


async def test_much_output_goes_in_pieces_of_bounded_size(sender, line):
    sender.printed(False, b"x" * (3 * PIECE_BYTES + 1))
    await sender.flush()
    assert [len(text) for _, text in texts(line)] == [PIECE_BYTES] * 3 + [1]
    assert ends_meet(line.received)


async def test_a_slow_miner_costs_the_oldest_output_and_no_memory(sender, line):
    line.free.clear()
    total = 3 * MAX_WAITING_BYTES
    for _ in range(total // PIECE_BYTES):
        sender.printed(False, b"x" * PIECE_BYTES)
        await asyncio.sleep(0)
    assert sender._size <= MAX_WAITING_BYTES
    line.free.set()
    await sender.flush()
    assert line.received[-1].end == total
    assert not ends_meet(line.received)
    assert sum(len(text) for _, text in texts(line)) < total


async def test_a_miner_that_takes_nothing_does_not_hold_up_the_end(sender, line, monkeypatch):
    monkeypatch.setattr(live_module, "FLUSH_SECONDS", 0.05)
    line.free.clear()
    sender.printed(False, b"x")
    async with asyncio.timeout(30):
        await sender.flush()
    assert line.received == []


async def test_a_lost_miner_is_others_news(sender, line):
    line.lost = True
    sender.printed(False, b"x")
    await sender.flush()
    sender.printed(False, b"y")
    assert line.received == []


async def test_progress_is_told_now_and_then_and_when_all_is_there(sender, line):
    for done in range(0, 1001):
        sender.report_progress("image " + "x" * 300, done, 1000)
    await line.has(1)
    sender.printed(False, b"x")
    await sender.flush()
    made = [one for one in line.received if isinstance(one, ProgressMade)]
    assert made[-1].done_bytes == made[-1].total_bytes == 1000
    assert len(made) < 5
    assert (made[-1].stage, len(made[-1].what)) == (Stage.EXECUTION, 200)
