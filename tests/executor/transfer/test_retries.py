"""Waits before retries follow the server's request and the stage's time."""

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from compute_horde.errors import JobError
from compute_horde.uploads import FilePost, FilePut
from compute_horde.volumes import SingleFileVolume
from executor.stages import input_volumes, output_uploads
from executor.transfer import retries
from executor.transfer.http_errors import RetryableError, WebError
from executor.transfer.retries import with_retries
from tests.executor.conftest import time_for
from tests.executor.raw import OK, answer, raw_server


@pytest.fixture
async def server():
    async with raw_server() as running:
        yield running


@pytest.fixture
def waits(monkeypatch):
    """Records the requested waits without waiting."""
    asked = []
    sleep = asyncio.sleep

    async def noted(seconds):
        asked.append(seconds)
        await sleep(0)

    monkeypatch.setattr(retries.asyncio, "sleep", noted)
    monkeypatch.setattr(retries.random, "uniform", lambda low, high: low)
    return asked


def failing(*errors, result="done"):
    left = list(errors)

    async def attempt():
        if left:
            raise left.pop(0)
        return result

    return attempt


def busy(retry_after=None):
    return RetryableError("busy", 503, retry_after=retry_after)


async def test_waits_grow_to_a_bound_and_attempts_have_none(waits):
    assert await with_retries(failing(*[busy()] * 12), lambda: 1000) == "done"
    assert waits == [1, 2, 4, 8, 16, 30, 30, 30, 30, 30, 30, 30]


async def test_a_server_that_says_how_long_is_left_alone_that_long(waits):
    assert await with_retries(failing(busy(7.5), busy(0.0), busy(100.0)), lambda: 1000) == "done"
    assert waits == [7.5, 2, 100]


async def test_an_attempt_that_made_progress_starts_the_waits_anew(waits):
    progress = iter([False, False, True, False])
    await with_retries(failing(*[busy()] * 4), lambda: 1000, lambda: next(progress))
    assert waits == [1, 2, 1, 2]


@pytest.mark.parametrize(
    ("asks", "expected"),
    [
        (None, "in 1 s would follow attempt 2, but the time limit ends in 0.5 s"),
        (0.3, "in 1 s would follow attempt 2, but the time limit ends in 0.5 s"),
        (50.0, "it asks to wait 50 s before attempt 2, but the time limit ends in 0.5 s"),
    ],
)
async def test_without_time_for_the_wait_the_failure_is_told_at_once(waits, asks, expected):
    with pytest.raises(RetryableError, match=rf"^busy; .*{expected}") as failed:
        await with_retries(failing(busy(asks)), lambda: 0.5)
    assert (failed.value.status, waits) == (503, [])


async def test_what_will_not_pass_is_not_tried_again(waits):
    with pytest.raises(WebError, match=r"^gone$"):
        await with_retries(failing(WebError("gone", 410)), lambda: 1000)
    assert waits == []


def in_seconds(seconds):
    """`Retry-After` as a date of a clock that is ten years off, with its `Date` header."""
    now = datetime(2016, 1, 1, 12, tzinfo=UTC)
    return {
        "Date": format_datetime(now, usegmt=True),
        "Retry_After": format_datetime(now + timedelta(seconds=seconds), usegmt=True),
    }


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("expected", [{"Retry_After": "40"}, in_seconds(40)])
@pytest.mark.parametrize("kind", ["get", "put", "post"])
async def test_downloads_and_uploads_wait_as_told(
    work, config, server, waits, status, expected, kind
):
    server.answers = [answer(status, **expected)] * 5 + [OK]
    left = {"seconds_left": lambda: 1000.0}
    url = f"{server.url}/f"
    (work.output / "f").write_bytes(b"data")
    if kind == "get":
        await input_volumes.fetch(
            SingleFileVolume(url=url, relative_path="f"), work, config, **left
        )
    else:
        asked = {"put": FilePut, "post": FilePost}[kind](url=url, relative_path="f")
        await output_uploads.send(asked, work, config, **left)
    assert len(server.asked) == 6
    assert [wait for wait in waits if wait] == [40] * 5


async def test_a_wait_longer_than_the_stage_ends_it_with_the_reason(work, config, server, waits):
    server.answers = [answer(429, Retry_After="3600")]
    volume = SingleFileVolume(url=f"{server.url}/f", relative_path="f")
    with pytest.raises(JobError, match=r"HTTP 429 .*; it asks to wait 3600 s before attempt 2"):
        await input_volumes.fetch(volume, work, config, seconds_left=time_for(5))
    assert len(server.asked) == 1


async def test_the_attempt_that_is_not_made_has_its_number(waits):
    left = iter([60.0, 60.0, 3.2])
    with pytest.raises(RetryableError, match=r"in 4 s would follow attempt 4, .* in 3\.2 s"):
        await with_retries(failing(*[busy()] * 5), lambda: next(left))


async def test_each_problem_that_is_retried_is_reported(waits):
    problems = []
    await with_retries(failing(busy(), busy(7.0)), lambda: 1000, on_problem=problems.append)
    assert [problem.retry_after for problem in problems] == [None, 7.0]
