"""Event streams are parsed with any line ends and chunks, up to a maximum event size."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute_horde.errors import ProtocolError
from compute_horde_sdk.facilitator.sse import ServerSentEvent, parsed

STREAM = (
    b"retry: 5\n\n: hello\n\nid: 1\ndata: a\n\ndata:b\ndata: c\n\nevent: end\n\nid: 2\ndata: \xff"
)
EVENTS = [
    ServerSentEvent("message", "a", "1"),
    ServerSentEvent("message", "b\nc", "1"),
    ServerSentEvent("end", "", "1"),
]


async def chunks(*parts):
    for part in parts:
        yield part


async def read(*parts, max_bytes=1000):
    return [event async for event in parsed(chunks(*parts), max_bytes)]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
async def test_all_line_ends_are_read(end):
    assert await read(STREAM.replace(b"\n", end)) == EVENTS


@given(st.lists(st.integers(0, len(STREAM) * 2)), st.sampled_from([b"\n", b"\r\n", b"\r"]))
async def test_chunks_may_break_anywhere(cuts, end):
    stream = STREAM.replace(b"\n", end)
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    parts = [stream[a:b] for a, b in pairwise(edges)]
    assert await read(*parts) == EVENTS


async def test_an_unfinished_event_is_none():
    assert await read(b"data: a\n") == []


@pytest.mark.parametrize("parts", [[b"data: " + b"a" * 2000], [b"data: aaaaaaaa\n"] * 200])
async def test_an_event_without_end_is_refused(parts):
    with pytest.raises(ProtocolError, match="over 1,000 bytes"):
        await read(*parts)


@given(st.lists(st.binary()))
async def test_no_bytes_do_harm(parts):
    await read(*parts, max_bytes=10**6)
