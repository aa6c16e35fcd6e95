"""Decompresses a facilitator's response in steps of bounded size."""

import zlib
from collections.abc import AsyncGenerator, Iterator

import httpx

from compute_horde.errors import ProtocolError

ACCEPTED = "gzip"
# Gzip can expand a thousandfold; httpx would return all of that in one piece.
STEP_BYTES = 2**18


async def pieces(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    """The decoded content in pieces of bounded size; raises `ProtocolError` for other encodings."""
    encoding = response.headers.get("Content-Encoding", "")
    tokens = (word.strip().lower() for word in encoding.split(","))
    names = [word for word in tokens if word not in ("", "identity")]
    if not names:
        async for data in response.aiter_raw():
            yield data
        return
    if names not in (["gzip"], ["x-gzip"]):
        raise ProtocolError(
            f"the facilitator, or a proxy before it, sends its answer with Content-Encoding "
            f"{encoding[:100]!r}, though {ACCEPTED!r} is all that was asked for"
        )
    decoder = zlib.decompressobj(zlib.MAX_WBITS | 16)
    async for data in response.aiter_raw():
        try:
            for piece in _steps(decoder, data):
                yield piece
        except zlib.error as exc:
            raise httpx.DecodingError(str(exc), request=response.request) from exc
        if decoder.unused_data:
            raise httpx.DecodingError("more after the end of gzip", request=response.request)


def _steps(decoder: "zlib._Decompress", data: bytes) -> Iterator[bytes]:
    while True:
        out = decoder.decompress(data, STEP_BYTES)
        if out:
            yield out
        data = decoder.unconsumed_tail
        # After a full step the decoder may hold more output, even if all input is consumed.
        if decoder.eof or (not data and len(out) < STEP_BYTES):
            return
