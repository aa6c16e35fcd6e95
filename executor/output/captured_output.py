"""The output of one stream of a job: stored with a bound, truncated for the result."""

import base64
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from compute_horde.protocol.truncation import GAP, HALF_CHARACTERS, RAW_BYTES, SHOWN_CHARACTERS
from compute_horde.vocabulary import Stream

# No character of UTF-8 is longer than four bytes.
HALF_BYTES = HALF_CHARACTERS * 4
IN_MEMORY_BYTES = 2**18
FILE_CHUNK_BYTES = 2**20


class CapturedOutput:
    """Keeps the first bytes in memory, more on disk up to `keep_bytes`, then only the end."""

    def __init__(self, spill_dir: Path, keep_bytes: int) -> None:
        self._spill_dir = spill_dir
        self._keep_limit = keep_bytes
        self._memory = bytearray()
        self._file: IO[bytes] | None = None
        self._bytes_on_disk = 0
        self._tail = bytearray()
        self.total = 0

    @property
    def _stored_bytes(self) -> int:
        return len(self._memory) + self._bytes_on_disk

    @property
    def is_complete(self) -> bool:
        return self.total == self._stored_bytes + len(self._tail)

    def feed(self, data: bytes) -> None:
        """Add the next output."""
        self.total += len(data)
        if self._tail:
            self._append_tail(data)
            return
        room = min(self._keep_limit, IN_MEMORY_BYTES) - len(self._memory)
        self._memory += data[:room]
        if rest := data[room:]:
            spilled = self._spill(rest[: self._keep_limit - self._stored_bytes])
            self._append_tail(rest[spilled:])

    def _spill(self, data: bytes) -> int:
        """Write to disk; the bytes written, fewer when the disk is full, which loses the middle."""
        done = 0
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(  # noqa: SIM115
                    buffering=0, dir=self._spill_dir
                )
            while done < len(data):
                done += self._file.write(data[done:])
        except OSError:
            self._keep_limit = self._stored_bytes + done
        self._bytes_on_disk += done
        return done

    def _append_tail(self, data: bytes) -> None:
        self._tail += data
        if len(self._tail) > 2 * HALF_BYTES:
            del self._tail[:-HALF_BYTES]

    def pieces(self) -> Iterator[bytes]:
        """All that was kept, with a note in place of what is missing."""
        yield bytes(self._memory)
        for start in range(0, self._bytes_on_disk, FILE_CHUNK_BYTES):
            yield self._from_file(start, min(self._bytes_on_disk, start + FILE_CHUNK_BYTES))
        if not self.is_complete:
            missing = self.total - self._stored_bytes - len(self._tail)
            yield f"\n[{missing} bytes left out]\n".encode()
        yield bytes(self._tail)

    def truncated_text(self) -> str:
        """The text for the result: both ends of one that is too long."""
        if self.total > 2 * HALF_BYTES:
            first = self._slice(0, HALF_BYTES).decode(errors="replace")
            last = self._last().decode(errors="replace")
            return first[:HALF_CHARACTERS] + GAP + last[-HALF_CHARACTERS:]
        text = b"".join(self.pieces()).decode(errors="replace")
        if len(text) <= SHOWN_CHARACTERS:
            return text
        return text[:HALF_CHARACTERS] + GAP + text[-HALF_CHARACTERS:]

    @property
    def is_text_truncated(self) -> bool:
        """Whether the middle is missing from `truncated_text`."""
        return self.total > 2 * HALF_BYTES or len(self.truncated_text()) > SHOWN_CHARACTERS

    @property
    def is_truncated(self) -> bool:
        """Whether neither `truncated_text` nor `raw` holds all bytes that were printed."""
        if self.is_text_truncated or not self.is_complete:
            return True
        return self.total > RAW_BYTES and not self._is_text()

    def raw(self) -> bytes | None:
        """All bytes printed if they are not UTF-8 and fit into the result, else None."""
        if self.total > RAW_BYTES or not self.is_complete:
            return None
        return None if self._is_text() else b"".join(self.pieces())

    def _is_text(self) -> bool:
        try:
            b"".join(self.pieces()).decode()
        except UnicodeDecodeError:
            return False
        return True

    def _last(self) -> bytes:
        needed = max(0, HALF_BYTES - len(self._tail))
        return self._slice(max(0, self._stored_bytes - needed), self._stored_bytes) + bytes(
            self._tail
        )

    def _slice(self, start: int, end: int) -> bytes:
        border = len(self._memory)
        filed = self._from_file(max(0, start - border), end - border)
        return bytes(self._memory[start:end]) + filed

    def _from_file(self, start: int, end: int) -> bytes:
        if self._file is None or start >= end:
            return b""
        self._file.seek(start)
        return self._file.read(min(end, self._bytes_on_disk) - start)

    def close(self) -> None:
        """Free the disk space."""
        if self._file is not None:
            self._file.close()


def raw_output(stdout: CapturedOutput, stderr: CapturedOutput) -> dict[str, str]:
    """The streams that are not UTF-8 and small enough for the result, as base64."""
    both = {Stream.STDOUT: stdout, Stream.STDERR: stderr}
    found = {stream: one.raw() for stream, one in both.items()}
    return {stream: base64.b64encode(data).decode() for stream, data in found.items() if data}


def truncated(stdout: CapturedOutput, stderr: CapturedOutput) -> dict[str, int]:
    """The streams that the result does not hold completely, each with the bytes printed to it.

    Their middle is left out, or they are not UTF-8 and too long for `raw_output`.
    """
    both = {Stream.STDOUT: stdout, Stream.STDERR: stderr}
    return {stream: one.total for stream, one in both.items() if one.is_truncated}
