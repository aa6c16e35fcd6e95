"""Decodes content in HTTP encodings such as gzip, in pieces of bounded size."""

import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Protocol

import brotli

from executor.transfer.http_errors import RetryableError, WebError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

# The most bytes that one step of a decoder returns; content may expand a thousandfold.
STEP_BYTES = 2**18
MAX_ENCODINGS = 3
# How many more bytes an inner encoding may have than it decodes to, against endless empty content.
MAX_OVERHEAD_BYTES = 2**21
# Input is fed in slices, as what follows the end of a gzip member is copied.
SLICE_BYTES = 2**12


class Decoder(Protocol):
    """Decoder of one encoding."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The decoded bytes of `data`, in steps of at most `STEP_BYTES`."""

    def is_complete(self) -> bool:
        """Whether the content so far is complete."""


class _Zlib:
    """gzip, of any number of members, and deflate, with or without a zlib header."""

    def __init__(self, *, gzip: bool) -> None:
        self._gzip = gzip
        self._decoding: zlib._Decompress | None = None

    def feed(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), SLICE_BYTES):
            rest = data[start : start + SLICE_BYTES]
            while rest:
                if self._decoding is None or self._decoding.eof:
                    self._decoding = zlib.decompressobj(self._window(rest))
                yield from self._member(self._decoding, rest)
                rest = self._decoding.unused_data

    def _member(self, decoding: "zlib._Decompress", data: bytes) -> Iterator[bytes]:
        while True:
            out = decoding.decompress(data, STEP_BYTES)
            if out:
                yield out
            data = decoding.unconsumed_tail
            # After a full step there may be more output, even when the input is used up.
            if decoding.eof or (not data and len(out) < STEP_BYTES):
                return

    def _window(self, data: bytes) -> int:
        if self._gzip:
            return zlib.MAX_WBITS | 16
        return zlib.MAX_WBITS if data[0] & 0x0F == 8 else -zlib.MAX_WBITS

    def is_complete(self) -> bool:
        return self._decoding is not None and self._decoding.eof


class _Brotli:
    """br; its window is at most 16 MiB."""

    def __init__(self) -> None:
        self._decoding = brotli.Decompressor()

    def feed(self, data: bytes) -> Iterator[bytes]:
        out = self._decoding.process(data, output_buffer_limit=STEP_BYTES)
        while out or not self._decoding.can_accept_more_data():
            yield out
            if self._decoding.is_finished():
                return
            out = self._decoding.process(b"", output_buffer_limit=STEP_BYTES)

    def is_complete(self) -> bool:
        return bool(self._decoding.is_finished())


class _Zstd:
    """zstd, of any number of frames; its window is at most 128 MiB."""

    def __init__(self) -> None:
        self._decoding = zstd.ZstdDecompressor()

    def feed(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), SLICE_BYTES):
            yield from self._frames(data[start : start + SLICE_BYTES])

    def _frames(self, data: bytes) -> Iterator[bytes]:
        while True:
            if self._decoding.eof:
                if not data:
                    return
                self._decoding = zstd.ZstdDecompressor()
            out = self._decoding.decompress(data, STEP_BYTES)
            if out:
                yield out
            data = self._decoding.unused_data if self._decoding.eof else b""
            if not self._decoding.eof and self._decoding.needs_input:
                return

    def is_complete(self) -> bool:
        return bool(self._decoding.eof)


KNOWN: dict[str, Callable[[], Decoder]] = {
    "gzip": partial(_Zlib, gzip=True),
    "x-gzip": partial(_Zlib, gzip=True),
    "deflate": partial(_Zlib, gzip=False),
    "br": _Brotli,
    "zstd": _Zstd,
}


# Values of the header that are in use but name no encoding of the bytes.
MEANINGLESS = frozenset({"", "identity", "none", "binary", "utf-8", "aws-chunked"})


def encoding_names(header: str | None) -> list[str]:
    """The encodings of a `Content-Encoding` header, in the order they were applied."""
    words = (word.strip().lower() for word in (header or "").split(","))
    return [word for word in words if word not in MEANINGLESS]


class Decoding:
    """Decodes all encodings of one answer; raises `WebError` for an unknown encoding."""

    def __init__(self, header: str | None) -> None:
        names = encoding_names(header)
        if len(names) > MAX_ENCODINGS or not KNOWN.keys() >= set(names):
            known = ", ".join(sorted(KNOWN.keys() - {"x-gzip"}))
            raise WebError(
                f"the server sends it with Content-Encoding {(header or '')[:100]!r}, which cannot "
                f"be decoded here; store it without, or as one of {known}"
            )
        self._names = names
        self._decoders = [KNOWN[name]() for name in reversed(names)]
        self._has_data = False
        self._decoded_bytes = 0
        self._intermediate_bytes = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The decoded bytes of `data`; raises `WebError` when they are not in that encoding."""
        self._has_data = self._has_data or bool(data)
        try:
            pieces: Iterable[bytes] = [data]
            for number, decoder in enumerate(self._decoders):
                pieces = _through(self._counted(pieces) if number else pieces, decoder)
            for piece in pieces:
                self._decoded_bytes += len(piece)
                yield piece
        except (zlib.error, brotli.error, zstd.ZstdError, EOFError) as exc:
            names = ", ".join(self._names)
            raise WebError(
                f"the content is not valid {names}, unlike its Content-Encoding"
            ) from exc

    def _counted(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """Count the bytes between two decoders; raises `WebError` if they decode to too little."""
        for piece in pieces:
            self._intermediate_bytes += len(piece)
            if (
                self._intermediate_bytes
                > len(self._decoders) * self._decoded_bytes + MAX_OVERHEAD_BYTES
            ):
                raise WebError(
                    f"its content, in {', '.join(self._names)}, holds little but encoding: "
                    "store it with one encoding at most"
                )
            yield piece

    def finish(self) -> None:
        """Raise `RetryableError` when the content is incomplete."""
        if self._has_data and not all(one.is_complete() for one in self._decoders):
            raise RetryableError(f"the {', '.join(self._names)} content ended too early")


def _through(pieces: Iterable[bytes], decoder: Decoder) -> Iterator[bytes]:
    for piece in pieces:
        yield from decoder.feed(piece)
