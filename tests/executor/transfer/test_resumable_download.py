"""A download is resumed only with the rest of the same file."""

import io

import pytest
from aiohttp import web

from compute_horde.addresses import Reach
from executor.transfer.http_client import HttpClient
from executor.transfer.http_errors import RetryableError
from executor.transfer.resumable_download import ignore_count
from tests.executor.conftest import time_for

CONTENT = bytes(range(256)) * 400


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr("executor.transfer.retries.FIRST_WAIT_SECONDS", 0)


@pytest.fixture
def fetched(site):
    async def fetch(answer, count=ignore_count):
        site.answers["/f"] = answer
        target = io.BytesIO()
        async with HttpClient(Reach(allow_private=True), time_for(3)) as client:
            await client.fetch(site / "f", target, limit=10**7, count=count)
        return target.getvalue()

    return fetch


async def broken(request, *, sent, status=200, **headers):
    """Announces the whole content from 0 on, and breaks off."""
    response = web.StreamResponse(status=status, headers={"ETag": '"1"'} | headers)
    response.content_length = len(CONTENT)
    await response.prepare(request)
    await response.write(CONTENT[:sent])
    request.transport.close()
    return response


def part(start, end, *, total=None, etag='"1"', body=None):
    whole = total or len(CONTENT)
    headers = {"Content-Range": f"bytes {start}-{end - 1}/{whole}", "ETag": etag}
    return web.Response(status=206, headers=headers, body=body or CONTENT[start:end])


async def test_a_file_that_grew_in_between_is_fetched_anew(fetched, site):
    other = CONTENT + b"more"

    async def answer(request):
        if len(site.asked) == 1:
            return await broken(request, sent=1000)
        if "Range" in request.headers:
            return part(1000, len(other), total=len(other), body=other[1000:])
        return web.Response(body=other)

    assert await fetched(answer) == other
    assert len(site.asked) == 3


async def test_a_file_of_another_version_is_not_stitched_in(fetched, site):
    async def answer(request):
        if len(site.asked) == 1:
            return await broken(request, sent=1000)
        return part(1000, len(CONTENT), etag='"2"')

    with pytest.raises(RetryableError):
        await fetched(answer)
    assert [headers.get("if-range") for *_, headers, _ in site.asked] == [None, '"1"', None]


async def test_a_server_that_sends_less_than_was_asked_for_is_asked_for_the_rest(fetched, site):
    async def answer(request):
        match len(site.asked):
            case 1:
                return await broken(request, sent=1000)
            case 2:
                return part(1000, 2000)
            case _:
                assert request.headers["Range"] == "bytes=2000-"
                return part(2000, len(CONTENT))

    assert await fetched(answer) == CONTENT


async def test_one_byte_a_connection_is_no_way_to_go_on(fetched, site):
    async def answer(request):
        start = len(site.asked) - 1
        if start == 0:
            return await broken(request, sent=1)
        return part(start, start + 1)

    with pytest.raises(RetryableError, match=f"sent 3 of {len(CONTENT)} bytes"):
        await fetched(answer)
    assert len(site.asked) == 3


@pytest.mark.parametrize(
    "content_range", ["bytes 1000-5", "bytes x-y/z", "", "bytes 1000-2000/9" + "9" * 30]
)
async def test_a_range_that_is_none_is_refused(fetched, site, content_range):
    async def answer(request):
        if "Range" not in request.headers:
            return await broken(request, sent=1000)
        return web.Response(
            status=206, headers={"Content-Range": content_range}, body=CONTENT[1000:]
        )

    with pytest.raises(RetryableError):
        await fetched(answer)
    assert len(site.asked) == 3


async def test_what_has_come_is_counted(fetched, site):
    received = []

    async def answer(request):
        if len(site.asked) == 1:
            return await broken(request, sent=1000)
        return part(1000, len(CONTENT))

    await fetched(answer, lambda *counted: received.append(counted))
    assert received[0] == (1000, len(CONTENT))
    assert received[-1] == (len(CONTENT), len(CONTENT))


async def test_nothing_is_known_of_the_length_of_what_is_encoded(fetched):
    received = []

    async def answer(request):
        response = web.Response(body=CONTENT)
        response.enable_compression(web.ContentCoding.deflate)
        return response

    assert await fetched(answer, lambda *counted: received.append(counted)) == CONTENT
    assert {total for _, total in received} == {None}
