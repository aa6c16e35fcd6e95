"""Counts the unpacked size of a layer while it is downloaded."""

import hashlib
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from executor.images.errors import ImageError, RegistryUnavailableError
from executor.images.manifests import Blob
from executor.images.tar_usage import BLOCK, TarUsage, is_header

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

STEP_BYTES = 2**20
GZIP = b"\x1f\x8b\x08"
ZSTD = b"\x28\xb5\x2f\xfd"
# Formats that engines know but are refused here: bzip2, xz, and zstd after one of the sixteen kinds
# of skippable frames.
SKIPPABLE = tuple(bytes([0x50 + kind]) + b"\x2a\x4d\x18" for kind in range(16))
OTHERS = (b"BZh", b"\xfd7zXZ\x00", *SKIPPABLE)
MAX_ENTRIES = 2_000_000


@dataclass(slots=True)
class ImageQuota:
    """The bytes and entries that all layers of an image may have together, unpacked."""

    limit: int
    used: int = 0
    entries: int = 0

    def take(self, more_bytes: int, more_entries: int) -> None:
        """Count more bytes and entries; raises `ImageError` over the limit."""
        self.used += more_bytes
        self.entries += more_entries
        if self.used > self.limit:
            raise ImageError(f"unpacked it is larger than {self.limit} bytes")
        if self.entries > MAX_ENTRIES:
            raise ImageError(f"it holds more than {MAX_ENTRIES} files")


class _Decompressor(Protocol):
    """The common interface of the zlib and zstd decompressors."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class LayerCount:
    """Checks the digest of one layer and counts its unpacked size."""

    def __init__(self, blob: Blob, quota: ImageQuota) -> None:
        self._blob = blob
        self._quota = quota
        self._sent = 0
        self._hash = hashlib.sha256()
        self._tar = TarUsage()
        self._first = b""
        self._opener: Callable[[], _Decompressor] | None = None
        self._is_known = False
        self._stream: _Decompressor | None = None

    def feed(self, data: bytes) -> None:
        """Count the next compressed bytes; raises `ImageError` for a layer that is not allowed."""
        self._sent += len(data)
        self._hash.update(data)
        if not self._is_known:
            self._first += data
            if len(self._first) < BLOCK and self._sent < self._blob.size:
                return
            data, self._first = self._first, b""
            self._opener, self._is_known = _decompressor_of(data), True
        try:
            self._unpack(data)
        except (zlib.error, zstd.ZstdError) as exc:
            raise ImageError("one of its layers cannot be decompressed") from exc

    def finish(self) -> None:
        """Check the complete layer.

        Raises `RegistryUnavailableError` when its digest differs, `ImageError` when it is
        truncated.
        """
        if f"sha256:{self._hash.hexdigest()}" != self._blob.digest:
            raise RegistryUnavailableError("its registry sent other bytes than asked for")
        if self._stream is not None:
            raise ImageError("one of its layers is cut off")

    def _unpack(self, data: bytes) -> None:
        opener = self._opener
        if opener is None:
            self._take(data)
            return
        while data:
            if self._stream is None:
                # Zeros after the end are padding.
                if not (data := data.lstrip(b"\0")):
                    return
                self._stream = opener()
            self._decompress(self._stream, data)
            data = self._stream.unused_data if self._stream.eof else b""
            if self._stream.eof:
                self._stream = None

    def _decompress(self, stream: _Decompressor, data: bytes) -> None:
        """Decompress and count bytes in bounded pieces."""
        while not stream.eof:
            piece = stream.decompress(data, STEP_BYTES)
            self._take(piece)
            data = getattr(stream, "unconsumed_tail", b"")
            if not data and len(piece) < STEP_BYTES:
                return

    def _take(self, piece: bytes) -> None:
        before, entries = self._tar.bytes, self._tar.entries
        self._tar.feed(piece)
        self._quota.take(self._tar.bytes - before, self._tar.entries - entries)


def _decompressor_of(first: bytes) -> Callable[[], _Decompressor] | None:
    """Makes the decompressor of a layer with these first bytes; None for an uncompressed tar.

    Raises `ImageError` for one that some engine may read as another format: the count would be
    that of other files.
    """
    if first.startswith(OTHERS):
        raise ImageError("one of its layers is compressed in a way that is not supported")
    if not first.startswith((GZIP, ZSTD)):
        return None
    if is_header(first[:BLOCK]):
        raise ImageError("one of its layers can be read as a tar archive and as a compressed one")
    return _gzip if first.startswith(GZIP) else zstd.ZstdDecompressor


def _gzip() -> _Decompressor:
    return zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
