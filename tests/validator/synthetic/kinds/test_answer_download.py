"""Reading what a miner uploaded."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from validator.synthetic.kinds import answer_download
from validator.synthetic.kinds.answer_download import NoAnswersError, download
from validator.synthetic.kinds.kind import NotVerifiableError


@asynccontextmanager
async def bucket(*answers: tuple[int, bytes]) -> AsyncIterator[tuple[str, list[str]]]:
    """A server with these answers to requests, one after the other."""
    requests: list[str] = []

    async def answer(request: web.BaseRequest) -> web.Response:
        status, body = answers[min(len(requests), len(answers) - 1)]
        requests.append(request.path)
        return web.Response(status=status, body=body)

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}/a", requests
    finally:
        await runner.cleanup()


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_download, "FIRST_WAIT_SECONDS", 0.001)


async def test_a_failure_of_the_bucket_is_tried_again() -> None:
    async with bucket((503, b""), (500, b""), (200, b"answers")) as (url, requests):
        assert await download(url) == b"answers"
    assert len(requests) == 3


async def test_a_bucket_that_keeps_failing_is_not_the_miners_fault() -> None:
    async with bucket((503, b"")) as (url, requests):
        with pytest.raises(NotVerifiableError, match="the bucket of answers cannot be read: "):
            await download(url)
    assert len(requests) == answer_download.TRIES


@pytest.mark.parametrize(
    ("status", "body", "problem"),
    [
        (404, b"", "no answers were uploaded"),
        (200, b"", "no answers were uploaded"),
        (200, b"x" * 11, "more than 10 bytes"),
    ],
)
async def test_missing_or_huge_answers_are(
    status: int, body: bytes, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answer_download, "MAX_BYTES", 10)
    async with bucket((status, body)) as (url, requests):
        with pytest.raises(NoAnswersError, match=problem):
            await download(url)
    assert len(requests) == 1


async def test_an_expired_link_is_named_without_a_request() -> None:
    url = "http://127.0.0.1:1/a?X-Amz-Date=20260101T000000Z&X-Amz-Expires=3600"
    with pytest.raises(NotVerifiableError, match="expired at 2026-01-01 01:00:00 UTC"):
        await download(url)
