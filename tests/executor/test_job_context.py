"""What one job uses belongs to it alone, and its tasks end with it."""

import asyncio

import pytest

from executor.job_context import JobContext


@pytest.fixture
def contexts(config):
    return [JobContext(executor_id, None, None, config) for executor_id in ("a", "b")]


def test_what_nobody_has_written_yet_cannot_be_read(contexts):
    context = contexts[0]
    for name in ("offered", "payload", "image", "run", "finished"):
        with pytest.raises(AttributeError):
            getattr(context, name)
    assert (context.service, context.specs, context.pulling) == (None, None, None)


def test_a_field_that_nobody_knows_cannot_be_written(contexts):
    with pytest.raises(AttributeError):
        contexts[0].another = "task"


async def test_tasks_end_with_their_job_whatever_they_raise_and_no_others(contexts):
    first, second = contexts
    began, ended = asyncio.Event(), []

    async def work(name):
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(name)
            raise ZeroDivisionError

    first.start(work("first"))
    other = second.start(work("second"))
    done = first.start(asyncio.sleep(0, "result"))
    await began.wait()
    assert await done == "result"
    await first.end_tasks()
    assert ended == ["first"]
    assert not other.done()
    await second.end_tasks()
    assert ended == ["first", "second"]
    assert first.creating == second.creating == []
