"""An event loop in a thread, behind blocking calls."""

import asyncio
import logging
import os
import threading

import pytest

from compute_horde.concurrency.loop_thread import BlockingLoop, Forked


@pytest.fixture
def loop() -> BlockingLoop:
    return BlockingLoop()


async def double(number: int) -> int:
    await asyncio.sleep(0)
    return 2 * number


async def fail() -> None:
    raise LookupError("as it is")


def test_results_and_errors_come_back_as_they_are(loop: BlockingLoop) -> None:
    assert loop.wait(double(21)) == 42
    with pytest.raises(LookupError, match="as it is"):
        loop.wait(fail())
    loop.stop()


def test_nothing_is_left_running(loop: BlockingLoop) -> None:
    threads = threading.active_count()
    ended = threading.Event()

    async def forever() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ended.set()

    async def begin() -> "asyncio.Task[None]":
        task = asyncio.create_task(forever())
        await asyncio.sleep(0)
        return task

    task = loop.wait(begin())
    loop.stop()
    assert ended.is_set()
    assert task.cancelled()
    assert threading.active_count() == threads - 1


def test_sockets_left_open_are_closed(loop: BlockingLoop) -> None:
    async def serve() -> tuple[asyncio.Server, asyncio.StreamWriter]:
        server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        return server, writer

    server, writer = loop.wait(serve())
    server.close()
    loop.stop()
    assert writer.transport.is_closing()


def test_a_fork_is_told_instead_of_waiting(loop: BlockingLoop) -> None:
    child = os.fork()
    if child == 0:
        try:
            loop.wait(double(1))
        except Forked:
            loop.stop()
            os._exit(7)
        os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 7
    loop.stop()


def test_a_task_that_fails_alone_is_one_line_in_the_log(
    loop: BlockingLoop, caplog: pytest.LogCaptureFixture
) -> None:

    async def leave() -> None:
        asyncio.create_task(fail())  # noqa: RUF006  # that nobody keeps it is the case here
        await asyncio.sleep(0.01)

    with caplog.at_level(logging.DEBUG, "compute_horde.concurrency.loop_thread"):
        loop.wait(leave())
        loop.stop()
    assert [record.message for record in caplog.records] == ["background task failed"]
