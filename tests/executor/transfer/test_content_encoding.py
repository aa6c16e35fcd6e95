"""Encoded content is decoded in bounded steps; an unknown encoding is an error."""

import gzip
import random
import time
import tracemalloc
import zlib
from functools import lru_cache

import brotli
import pytest

from compute_horde.errors import JobError
from compute_horde.volumes import SingleFileVolume
from executor.stages import input_volumes
from executor.transfer import content_encoding
from executor.transfer.content_encoding import STEP_BYTES, Decoding, zstd
from executor.transfer.http_errors import RetryableError, WebError
from tests.executor.conftest import time_for
from tests.executor.raw import answer, raw_server

TEXT = b"".join(b"%d\n" % number for number in range(200_000))


def raw_deflate(data):
    packing = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packing.compress(data) + packing.flush()


ENCODERS = {
    "gzip": gzip.compress,
    "x-gzip": lambda data: gzip.compress(data[:1000]) + gzip.compress(data[1000:]),
    "deflate": zlib.compress,
    "Deflate": raw_deflate,
    "br": lambda data: brotli.compress(data, quality=4),
    "zstd": zstd.compress,
    "ZSTD": lambda data: zstd.compress(data[:1000]) + zstd.compress(data[1000:]),
    "gzip, br": lambda data: brotli.compress(gzip.compress(data), quality=4),
    "identity": bytes,
    "aws-chunked": bytes,
    "": bytes,
}

# Zeros that become a few kilobytes; many times what decoding may hold in memory.
BOMB_BYTES = 64 * 2**20
MOST_DECODING_BYTES = 16 * 2**20


@lru_cache(maxsize=64)
def encoded(header):
    """`TEXT` in this encoding."""
    return ENCODERS[header](TEXT)


@lru_cache(maxsize=64)
def bomb(header):
    """`BOMB_BYTES` of zeros in this encoding."""
    return ENCODERS[header](bytes(BOMB_BYTES))


def decoded(header, data, step):
    decoding = Decoding(header)
    pieces = [
        piece for at in range(0, len(data), step) for piece in decoding.feed(data[at : at + step])
    ]
    decoding.finish()
    return pieces


@pytest.mark.parametrize("header", ENCODERS)
@pytest.mark.parametrize("step", [997, 2**16, 2**30])
def test_each_encoding_is_undone(header, step):
    assert b"".join(decoded(header, encoded(header), step)) == TEXT


@pytest.mark.parametrize("header", ENCODERS)
def test_nothing_is_nothing_in_every_encoding(header):
    assert b"".join(decoded(header, ENCODERS[header](b""), 100)) == b""
    assert decoded(header, b"", 100) == []


@pytest.mark.parametrize("header", ["gzip", "deflate", "br", "zstd"])
def test_a_few_bytes_that_become_many_come_in_steps(header):
    """A decompression bomb is decoded in small steps."""
    sent = bomb(header)
    decoding = Decoding(header)
    total = 0
    tracemalloc.start()
    for piece in decoding.feed(sent):
        assert len(piece) <= 2 * STEP_BYTES
        total += len(piece)
    assert tracemalloc.get_traced_memory()[1] < MOST_DECODING_BYTES
    tracemalloc.stop()
    assert total == BOMB_BYTES


@pytest.mark.parametrize("header", ["gzip", "deflate", "br", "zstd", "gzip, br"])
@pytest.mark.parametrize("kept", [0.5, 0.99])
def test_content_that_ends_too_early_may_be_had_by_another_attempt(header, kept):
    data = encoded(header)
    with pytest.raises(RetryableError, match="ended too early"):
        decoded(header, data[: int(len(data) * kept)], 1000)


@pytest.mark.parametrize("header", ["gzip", "deflate", "br", "zstd"])
def test_content_that_is_something_else_is_named(header):
    with pytest.raises(WebError, match=f"the content is not valid {header}") as failed:
        decoded(header, b"\xff\xfe this is plain text, and nothing else at all" * 10, 1000)
    assert not isinstance(failed.value, RetryableError)


@pytest.mark.parametrize("header", ["compress", "lzma", "gzip, exi", "gzip,gzip,gzip,gzip"])
def test_an_unknown_encoding_is_named_before_anything_is_read(header):
    with pytest.raises(WebError, match="store it without, or as one of br, deflate, gzip, zstd"):
        Decoding(header)


@pytest.fixture
async def server():
    async with raw_server() as running:
        yield running


async def fetched(server, work, config, header, body):
    server.answers = [answer(200, body, Content_Encoding=header)]
    volume = SingleFileVolume(url=f"{server.url}/f", relative_path="f")
    await input_volumes.fetch(volume, work, config, seconds_left=time_for(2))
    return (work.volume / "f").read_bytes()


@pytest.mark.parametrize("header", ["gzip", "deflate", "br", "zstd"])
async def test_a_file_that_is_stored_encoded_is_put_in_place_decoded(server, work, config, header):
    assert await fetched(server, work, config, header, encoded(header)) == TEXT


async def test_a_download_in_an_unknown_encoding_fails_once_and_by_name(server, work, config):
    with pytest.raises(JobError, match="Content-Encoding 'compress'"):
        await fetched(server, work, config, "compress", b"data")
    assert len(server.asked) == 1


@pytest.mark.parametrize("header", ["gzip", "deflate", "br", "zstd"])
async def test_a_bomb_ends_at_the_limit_of_the_file(server, work, config, header):
    small = config.model_copy(update={"volume_max_bytes": 2**20})
    with pytest.raises(JobError, match="larger than 1048576 bytes"):
        await fetched(server, work, small, header, bomb(header))


def test_the_module_knows_what_its_message_says():
    assert set(content_encoding.KNOWN) == {"br", "deflate", "gzip", "x-gzip", "zstd"}


@pytest.mark.parametrize("empty", [gzip.compress(b""), zstd.compress(b"")])
def test_megabytes_of_an_inner_encoding_that_stand_for_nothing_are_refused(empty, monkeypatch):
    """Tried with an eighth of what is allowed, in an eighth of the time."""
    assert content_encoding.MAX_OVERHEAD_BYTES <= 2**21
    monkeypatch.setattr(content_encoding, "MAX_OVERHEAD_BYTES", 2**18)
    inner = "gzip" if empty[:2] == b"\x1f\x8b" else "zstd"
    sent = gzip.compress(empty * 125_000, compresslevel=1)
    began = time.process_time()
    with pytest.raises(WebError, match="one encoding"):
        for _ in Decoding(f"{inner}, gzip").feed(sent):
            pass
    assert time.process_time() - began < 2


@pytest.mark.parametrize("names", [("gzip", "br"), ("zstd", "gzip", "gzip"), ("br", "zstd")])
def test_content_that_cannot_be_compressed_may_be_encoded_more_than_once(names):
    data = sent = random.Random(1).randbytes(4 * content_encoding.MAX_OVERHEAD_BYTES)
    for name in names:
        sent = ENCODERS[name](sent) if name != "br" else brotli.compress(sent, quality=1)
    assert b"".join(decoded(", ".join(names), sent, 2**16)) == data
