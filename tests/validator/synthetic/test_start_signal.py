"""The start signal of streaming jobs."""

import asyncio
from typing import Any

import pytest

from compute_horde.protocol.job import StreamingReady
from tests.validator.synthetic.making import attempt
from validator.synthetic.start_signal import StartSignal


async def test_all_start_when_the_last_one_is_ready() -> None:
    signal, started = StartSignal(2), []

    async def one(name: str) -> None:
        signal.arrive(name)
        await signal.wait(30)
        started.append(name)

    first = asyncio.create_task(one("a"))
    await asyncio.sleep(0)
    signal.arrive("a")
    assert not started
    await one("b")
    await first
    assert sorted(started) == ["a", "b"]


async def test_nobody_waits_longer_than_the_limit() -> None:
    signal = StartSignal(2)
    signal.arrive("a")
    async with asyncio.timeout(5):
        await signal.wait(0.01)


async def test_without_streaming_jobs_it_is_given() -> None:
    async with asyncio.timeout(5):
        await StartSignal(0).wait(30)


class Streaming:
    """A kind that notes what it is given, and breaks afterwards."""

    start_seconds = 0.01

    def __init__(self) -> None:
        self.given: list[Any] = []

    async def drive(self, job: Any, server: StreamingReady, time_factor: int) -> None:
        self.given.append((job, server, time_factor))
        raise ZeroDivisionError


async def test_an_error_of_the_kind_is_logged_and_hurts_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    one = attempt("5Miner", time_factor=3)
    server = StreamingReady(job_uuid=one.request.uuid, public_key="", port=1)
    signal, kind = StartSignal(1), Streaming()
    await signal.drive(one, server)
    one.kind = kind  # type: ignore[assignment]
    await signal.drive(one, server)
    assert kind.given == [(one.prepared, server, 3)]
    assert "a streaming job was not used" in caplog.text
