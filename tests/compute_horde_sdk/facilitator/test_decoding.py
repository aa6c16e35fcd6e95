"""Responses are decoded in bounded steps, and only from the encoding that was requested."""

import gzip
import zlib

import httpx
import pytest

from compute_horde.errors import ProtocolError
from compute_horde_sdk.facilitator import decoding
from compute_horde_sdk.facilitator.decoding import STEP_BYTES, pieces


def answer(*chunks, encoding=None):
    async def content():
        for chunk in chunks:
            yield chunk

    headers = {} if encoding is None else {"Content-Encoding": encoding}
    request = httpx.Request("GET", "http://localhost")
    return httpx.Response(200, headers=headers, content=content(), request=request)


async def read(*chunks, encoding=None):
    return [piece async for piece in pieces(answer(*chunks, encoding=encoding))]


@pytest.mark.parametrize("encoding", [None, "", "identity", "Identity, "])
async def test_what_is_not_encoded_is_given_as_it_comes(encoding):
    assert await read(b"a", b"bc", encoding=encoding) == [b"a", b"bc"]


@pytest.mark.parametrize("size", [0, 1, STEP_BYTES - 1, STEP_BYTES, STEP_BYTES + 1, 10**7])
@pytest.mark.parametrize("cut", [1, 100, 10**6])
async def test_gzip_is_decoded_in_bounded_steps_however_it_comes(size, cut):
    whole = b"x" * size
    sent = gzip.compress(whole)
    chunks = [sent[at : at + cut] for at in range(0, len(sent), cut)]
    found = await read(*chunks, encoding="GZip")
    assert b"".join(found) == whole
    assert max(map(len, found), default=0) <= STEP_BYTES


@pytest.mark.parametrize("encoding", ["gzip, gzip", "br", "zstd", "deflate", "gzip, identity, br"])
async def test_what_was_not_asked_for_is_refused_before_it_is_decoded(encoding):
    twice = gzip.compress(gzip.compress(b"x" * 10**7))
    with pytest.raises(ProtocolError, match="Content-Encoding"):
        await read(twice, encoding=encoding)


@pytest.mark.parametrize("sent", [b"no gzip", gzip.compress(b"a") * 2, zlib.compress(b"a")])
async def test_what_is_not_one_gzip_is_an_error_of_the_transfer(sent):
    with pytest.raises(httpx.DecodingError):
        await read(sent, encoding="gzip")


async def test_every_answer_of_a_facilitator_is_asked_for_in_what_can_be_decoded(
    client, server, spec
):
    job = await client.create_job(spec)
    server.encoding = "gzip"
    assert (await client.get_job(job.uuid)).uuid == job.uuid
    server.encoding = "gzip, gzip"
    with pytest.raises(ProtocolError, match="gzip, gzip"):
        await client.get_job(job.uuid)
    asked = [headers for *_, headers in server.seen("GET /api/v1/jobs")]
    assert {headers["Accept-Encoding"] for headers in asked} == {decoding.ACCEPTED}
