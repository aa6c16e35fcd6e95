"""Tasks end with their owner."""

import asyncio

import pytest

from compute_horde.concurrency.task_set import TaskSet, run_until_first


async def forever():
    await asyncio.Event().wait()


async def returns():
    return


async def raises(error):
    raise error


async def test_a_task_is_remembered_while_it_runs():
    tasks = TaskSet()
    gate = asyncio.Event()
    tasks.spawn(gate.wait())
    assert len(tasks) == 1
    gate.set()
    await tasks.wait()
    assert len(tasks) == 0


async def test_waiting_ends_with_its_timeout_and_cancels_nothing():
    tasks = TaskSet()
    task = tasks.spawn(forever())
    await tasks.wait(0.01)
    assert not task.done()
    await tasks.cancel()
    assert task.cancelled()


async def test_cancel_waits_for_the_end_and_drops_what_is_raised():
    tasks = TaskSet()

    async def stubborn():
        try:
            await forever()
        finally:
            await asyncio.sleep(0)
            raise ValueError

    task = tasks.spawn(stubborn())
    await asyncio.sleep(0)
    await tasks.cancel()
    assert isinstance(task.exception(), ValueError)


async def test_an_empty_set_has_nothing_to_wait_for():
    assert await asyncio.wait_for(TaskSet().wait(), 30) is None
    assert await asyncio.wait_for(TaskSet().cancel(), 30) is None


async def test_the_end_of_its_block_ends_all():
    async with TaskSet() as tasks:
        task = tasks.spawn(forever())
    assert task.cancelled()


async def test_the_first_end_is_waited_for_and_cancels_nothing():
    async with TaskSet() as tasks:
        other = tasks.spawn(forever())
        await tasks.wait_for_first(0.01)
        first = tasks.spawn(raises(LookupError()))
        await tasks.wait_for_first()
        assert (first.done(), other.done()) == (True, False)
        await tasks.wait_for_first()
        assert not other.done()


async def test_the_first_end_ends_the_others():
    ended = []

    async def other():
        try:
            await forever()
        finally:
            ended.append(True)

    await run_until_first(asyncio.sleep(0.01), other())
    assert ended


async def test_what_the_first_one_raises_is_raised():
    with pytest.raises(LookupError):
        await run_until_first(raises(LookupError()), forever())


async def test_of_two_that_end_together_the_first_argument_counts():
    await run_until_first(returns(), raises(LookupError()))
    with pytest.raises(LookupError):
        await run_until_first(raises(LookupError()), raises(ValueError()))


async def test_a_cancelled_run_cancels_all_of_it():
    started = []

    async def work():
        started.append(asyncio.current_task())
        await forever()

    running = asyncio.create_task(run_until_first(work(), work()))
    await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert all(task.cancelled() for task in started)


async def test_a_cancellation_while_a_task_of_the_block_ends_is_not_lost():
    started, may_end = asyncio.Event(), asyncio.Event()

    async def slow_to_end():
        try:
            started.set()
            await asyncio.Event().wait()
        finally:
            await may_end.wait()

    async def work():
        async with TaskSet() as tasks:
            tasks.spawn(slow_to_end())
            await started.wait()

    working = asyncio.create_task(work())
    await started.wait()
    for _ in range(3):
        await asyncio.sleep(0)
    working.cancel()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await working
