"""An upload that arrived succeeds, even without the server's complete answer."""

import asyncio
import contextlib
import gzip
import json

import pytest

from compute_horde.errors import JobError
from compute_horde.uploads import FilePut
from executor.stages import output_uploads
from executor.transfer import upload_attempts
from tests.executor.conftest import time_for
from tests.executor.raw import OK, answer, raw_server

LOST = b""
ONCE = {"If-None-Match": "*"}


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr("executor.transfer.retries.FIRST_WAIT_SECONDS", 0)


@pytest.fixture
async def server():
    async with raw_server() as running:
        yield running


@pytest.fixture
def sent(server, work, config):
    async def send(*answers, data=b"data", attempts=3):
        server.answers = list(answers)
        (work.output / "f").write_bytes(data)
        asked = FilePut(url=f"{server.url}/f", relative_path="f", signed_headers=ONCE)
        results = await output_uploads.send(asked, work, config, seconds_left=time_for(attempts))
        return json.loads(results["f"])

    return send


@pytest.mark.parametrize(
    ("raw", "body"),
    [
        (answer(200, b"\xff\xfeok"), "\ufffd\ufffdok"),
        (answer(200, b"not gzip", Content_Encoding="gzip"), ""),
        (answer(200, gzip.compress(b"ok"), Content_Encoding="gzip"), "ok"),
        (answer(200, b"ok", Content_Encoding="compress"), ""),
        (b"HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\nshort", "short"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", ""),
    ],
)
async def test_a_2xx_counts_whatever_follows_it(server, sent, raw, body):
    assert (await sent(raw))["body"] == body
    assert len(server.asked) == 1


async def test_a_2xx_counts_when_the_rest_of_the_answer_never_comes(server, sent, monkeypatch):
    monkeypatch.setattr(upload_attempts, "ANSWER_SECONDS", 0.05)

    async def never_answer(reader, writer):
        await reader.readuntil(b"data")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbeginning")
        await reader.read()
        writer.close()

    server.talk_as = never_answer
    assert (await sent(OK))["body"] == "beginning"


async def test_a_header_that_is_not_utf_8_can_be_read_by_the_user(sent):
    raw = b"HTTP/1.1 200 OK\r\nX-Name: caf\xe9\r\nContent-Length: 0\r\n\r\n"
    assert (await sent(raw))["headers"]["x-name"] == "caf\ufffd"


@pytest.mark.parametrize("lost", [LOST, answer(500), answer(502), answer(504)])
async def test_a_412_after_an_answer_that_was_lost_says_that_the_file_is_there(server, sent, lost):
    result = await sent(lost, answer(412, ETag='"x"'))
    assert result["headers"]["etag"] == '"x"'
    assert "the first one arrived" in result["body"]
    assert len(server.asked) == 2


async def test_a_409_after_a_lost_answer_is_asked_again(server, sent):
    await sent(LOST, answer(409), answer(412))
    assert len(server.asked) == 3


@pytest.mark.parametrize("first", [None, answer(503), answer(429)])
async def test_a_412_to_a_file_that_never_arrived_is_a_refusal(server, sent, first):
    with pytest.raises(JobError, match="HTTP 412"):
        await sent(*([first] if first else []), answer(412))


async def test_a_409_to_the_first_attempt_is_a_refusal(server, sent):
    with pytest.raises(JobError, match="HTTP 409"):
        await sent(answer(409))
    assert len(server.asked) == 1


async def test_a_412_to_the_repeat_of_a_request_that_was_cut_short_is_a_refusal(server, sent):
    heads = []

    async def drops_the_first(reader, writer):
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        if len(heads) == 1:
            # Unread: what the server drops so can never have been stored.
            writer.transport.abort()
            return
        while len(await reader.read(2**20)) == 2**20:
            pass
        writer.write(answer(412))
        await writer.drain()
        writer.close()

    server.talk_as = drops_the_first
    with pytest.raises(JobError, match="HTTP 412"):
        await sent(OK, data=b"x" * 2**25)
    assert len(heads) >= 2


async def test_an_upload_never_goes_out_over_a_connection_that_an_earlier_one_left(server, sent):
    connections = []

    async def closes_what_it_kept(reader, writer):
        connections.append(writer)
        await reader.readuntil(b"data")
        if len(connections) == 1:
            writer.write(b"HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n")
            with contextlib.suppress(asyncio.IncompleteReadError):
                await reader.readuntil(b"\r\n\r\n")
        else:
            writer.write(answer(412))
            await writer.drain()
        writer.close()

    server.talk_as = closes_what_it_kept
    with pytest.raises(JobError, match="HTTP 412"):
        await sent(OK)
    assert len(connections) == 2
