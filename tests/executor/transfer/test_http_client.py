"""Downloads resume and end; no URL reaches a private network."""

import io

import pytest
from aiohttp import web

from compute_horde.addresses import Reach
from executor.transfer.http_client import HttpClient
from executor.transfer.http_errors import RetryableError, WebError
from executor.transfer.upload_attempts import UploadRequest
from tests.executor.conftest import time_for

CONTENT = bytes(range(256)) * 4000


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr("executor.transfer.retries.FIRST_WAIT_SECONDS", 0)


@pytest.fixture
async def client():
    async with HttpClient(Reach(allow_private=True), time_for(3)) as made:
        yield made


async def fetched(client, url, limit=10**7):
    target = io.BytesIO()
    await client.fetch(url, target, limit=limit)
    return target.getvalue()


def broken_off(request):
    """Announces the whole content and sends a third of it, from the requested offset."""
    start = int(request.headers.get("Range", "bytes=0-")[6:-1])

    async def answer():
        status, headers = (206, _range(start)) if start else (200, {})
        response = web.StreamResponse(status=status, headers={"ETag": '"1"'} | headers)
        response.content_length = len(CONTENT) - start
        await response.prepare(request)
        await response.write(CONTENT[start : start + len(CONTENT) // 3 + 1])
        if start + len(CONTENT) // 3 + 1 < len(CONTENT):
            request.transport.close()
        return response

    return answer()


def _range(start):
    return {"Content-Range": f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"}


async def test_a_file_is_fetched(client, site):
    site.answers["/f"] = lambda request: web.Response(body=CONTENT)
    assert await fetched(client, site / "f") == CONTENT


async def test_a_broken_download_goes_on_where_it_stopped(client, site):
    async def answer(request):
        return await broken_off(request)

    site.answers["/f"] = answer
    assert await fetched(client, site / "f") == CONTENT
    starts = [headers.get("range") for _, _, headers, _ in site.asked]
    assert starts[0] is None
    assert len(starts) == 3
    assert len(set(starts)) == 3


@pytest.mark.parametrize("status", [200, 416])
async def test_a_server_that_cannot_go_on_is_asked_three_times_in_all(client, site, status):
    async def answer(request):
        if status == 416 and "Range" in request.headers:
            return web.Response(status=416)
        response = web.StreamResponse(headers={"ETag": '"1"'})
        response.content_length = len(CONTENT)
        await response.prepare(request)
        await response.write(CONTENT[:1000])
        request.transport.close()
        return response

    site.answers["/f"] = answer
    with pytest.raises(RetryableError, match=r"127\.0\.0\.1"):
        await fetched(client, site / "f")
    assert len(site.asked) == 3


async def test_another_part_than_asked_for_is_not_stitched_in(client, site):
    async def answer(request):
        if "Range" in request.headers:
            return web.Response(status=206, body=b"wrong", headers=_range(5))
        response = web.StreamResponse(headers={"ETag": '"1"'})
        response.content_length = len(CONTENT)
        await response.prepare(request)
        await response.write(CONTENT[:1000])
        request.transport.close()
        return response

    site.answers["/f"] = answer
    with pytest.raises(WebError):
        await fetched(client, site / "f")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
async def test_a_refusal_is_final(client, site, status):
    site.answers["/f"] = lambda request: web.Response(status=status)
    with pytest.raises(WebError, match=f"127.0.0.1: the server answered HTTP {status}"):
        await fetched(client, site / "f")
    assert len(site.asked) == 1


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_server_in_trouble_is_asked_again(client, site, status):
    def answer(request):
        return web.Response(body=b"ok", status=200 if len(site.asked) == 3 else status)

    site.answers["/f"] = answer
    assert await fetched(client, site / "f") == b"ok"
    assert len(site.asked) == 3


async def test_a_file_over_the_limit_is_refused_by_its_header(client, site):
    site.answers["/f"] = lambda request: web.Response(body=CONTENT)
    with pytest.raises(WebError, match="larger than 1000 bytes"):
        await fetched(client, site / "f", limit=1000)


@pytest.mark.parametrize("encoding", [None, "deflate"])
async def test_a_file_over_the_limit_is_refused_by_its_bytes(client, site, encoding):
    async def answer(request):
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        if encoding:
            response.enable_compression(web.ContentCoding(encoding))
        await response.prepare(request)
        for _ in range(50):
            await response.write(bytes(2**20))
        return response

    site.answers["/f"] = answer
    with pytest.raises(WebError, match="larger than"):
        await fetched(client, site / "f", limit=3 * 2**20)


async def test_nobody_is_reached_at_a_private_address(site):
    site.answers["/f"] = lambda request: web.Response(body=b"secret")
    port = (site / "f").split(":")[2].split("/")[0]
    async with HttpClient(Reach(), time_for(3)) as careful:
        for host in ("127.0.0.1", "localhost", "[::1]", "2130706433", "0.0.0.0"):
            with pytest.raises(WebError):
                await fetched(careful, f"http://{host}:{port}/f")
            upload = UploadRequest(lambda: io.BytesIO(b"x"), "x")
            with pytest.raises(WebError):
                await careful.send("PUT", f"http://{host}:{port}/f", upload)
        with pytest.raises(WebError, match="not a public address"):
            await fetched(careful, "http://169.254.169.254/latest/meta-data/")
    assert site.asked == []


async def test_a_redirect_into_our_network_is_refused(site, monkeypatch):
    """The first address passes, as a public one would; the one redirected to does not."""
    monkeypatch.setattr("compute_horde.addresses.is_public", lambda address: address == "127.0.0.1")
    site.answers["/away"] = lambda request: web.Response(
        status=302, headers={"Location": "http://169.254.169.254/latest/meta-data/"}
    )
    async with HttpClient(Reach(), time_for(3)) as careful:
        with pytest.raises(WebError, match=r"169\.254\.169\.254 is not a public address"):
            await fetched(careful, site / "away")


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "ftp://x/y", "", "http://", "http://[", "not a url", "http://a b/"],
)
async def test_something_that_is_no_web_address_is_refused(client, url):
    with pytest.raises(WebError):
        await fetched(client, url)


async def test_a_redirect_to_a_file_is_refused(client, site):
    site.answers["/f"] = lambda request: web.Response(
        status=302, headers={"Location": "file:///etc/passwd"}
    )
    with pytest.raises(WebError):
        await fetched(client, site / "f")


async def test_an_upload_does_not_follow_redirects(client, site):
    site.answers["/f"] = lambda request: web.Response(status=307, headers={"Location": "/g"})
    with pytest.raises(WebError, match="HTTP 307"):
        await client.send("PUT", site / "f", UploadRequest(lambda: io.BytesIO(b"x"), "x"))
    assert len(site.asked) == 1


async def test_an_upload_sends_its_own_length_and_no_type_of_ours(client, site):
    site.answers["/f"] = lambda request: web.Response(text="é", headers={"ETag": "e"})
    headers = {"x-amz-acl": "private", "Content-Length": str(len(CONTENT))}
    upload = UploadRequest(lambda: io.BytesIO(CONTENT), "x")
    answer = await client.send("PUT", site / "f", upload, headers=headers)
    assert answer.body == "é"
    assert answer.headers["etag"] == "e"
    method, _, sent, body = site.asked[0]
    assert (method, body) == ("PUT", CONTENT)
    assert sent["content-length"] == str(len(CONTENT))
    assert sent["x-amz-acl"] == "private"
    assert "content-type" not in sent
    assert "transfer-encoding" not in sent


@pytest.mark.parametrize("header", ["Content-Length", "Transfer-Encoding", "Host", "Connection"])
async def test_headers_that_say_how_to_send_are_refused(client, site, header):
    site.answers["/f"] = lambda request: web.Response()
    upload = UploadRequest(lambda: io.BytesIO(b"x"), "x")
    with pytest.raises(WebError, match=f"127.0.0.1: the header '{header}'.*leave it out"):
        await client.send("PUT", site / "f", upload, headers={header: "7"})
    assert site.asked == []


@pytest.mark.parametrize(
    ("body", "expected"), [(b"\xff\xfe", "\ufffd" * 2), (bytes(11 * 2**20), "\0" * 2**20)]
)
async def test_an_answer_that_cannot_be_returned_whole_is_returned_in_part(
    client, site, body, expected
):
    site.answers["/f"] = lambda request: web.Response(body=body)
    answer = await client.send("PUT", site / "f", UploadRequest(lambda: io.BytesIO(b"x"), "x"))
    assert answer.body == expected


async def test_headers_cannot_smuggle_a_second_request(client, site):
    site.answers["/f"] = lambda request: web.Response()
    with pytest.raises(WebError):
        await client.send(
            "PUT",
            site / "f",
            UploadRequest(lambda: io.BytesIO(b"x"), "x"),
            headers={"a": "b\r\nGET /evil HTTP/1.1"},
        )
    assert site.asked == []
