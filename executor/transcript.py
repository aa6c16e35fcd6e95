"""What a job printed: bounded while it is produced, shortened for the wire."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

SHOWN_CHARS = 1_000_000
HALF_CHARS = SHOWN_CHARS // 2
# No character of UTF-8 is longer than four bytes.
HALF_BYTES = HALF_CHARS * 4
GAP = " ... "
IN_MEMORY_BYTES = 2**18
CHUNK_BYTES = 2**20


class Transcript:
    """The first bytes in memory, the next on disk up to `keep_bytes`, then only the very end."""

    def __init__(self, spill_dir: Path, keep_bytes: int) -> None:
        self._spill_dir = spill_dir
        self._keep = keep_bytes
        self._memory = bytearray()
        self._file: IO[bytes] | None = None
        self._filed = 0
        self._tail = bytearray()
        self.total = 0

    @property
    def _kept(self) -> int:
        return len(self._memory) + self._filed

    @property
    def is_complete(self) -> bool:
        return self.total == self._kept + len(self._tail)

    def feed(self, data: bytes) -> None:
        """Take what was printed next."""
        self.total += len(data)
        if self._tail:
            self._append(data)
            return
        room = min(self._keep, IN_MEMORY_BYTES) - len(self._memory)
        self._memory += data[:room]
        if rest := data[room:]:
            spilled = self._spill(rest[: self._keep - self._kept])
            self._append(rest[spilled:])

    def _spill(self, data: bytes) -> int:
        """How much the disk took; a full disk loses the middle, not the job."""
        done = 0
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(  # noqa: SIM115
                    buffering=0, dir=self._spill_dir
                )
            while done < len(data):
                done += self._file.write(data[done:])
        except OSError:
            self._keep = self._kept + done
        self._filed += done
        return done

    def _append(self, data: bytes) -> None:
        self._tail += data
        if len(self._tail) > 2 * HALF_BYTES:
            del self._tail[:-HALF_BYTES]

    def pieces(self) -> Iterator[bytes]:
        """All that was kept, with a note where something is missing."""
        yield bytes(self._memory)
        for start in range(0, self._filed, CHUNK_BYTES):
            yield self._from_file(start, min(self._filed, start + CHUNK_BYTES))
        if not self.is_complete:
            missing = self.total - self._kept - len(self._tail)
            yield f"\n[{missing} bytes left out]\n".encode()
        yield bytes(self._tail)

    def shown(self) -> str:
        """The text as it travels: both ends of what is too long (protocol §8.7)."""
        if self.total > 2 * HALF_BYTES:
            first = self._slice(0, HALF_BYTES).decode(errors="replace")
            last = self._last().decode(errors="replace")
            return first[:HALF_CHARS] + GAP + last[-HALF_CHARS:]
        text = b"".join(self.pieces()).decode(errors="replace")
        if len(text) <= SHOWN_CHARS:
            return text
        return text[:HALF_CHARS] + GAP + text[-HALF_CHARS:]

    def _last(self) -> bytes:
        needed = max(0, HALF_BYTES - len(self._tail))
        return self._slice(max(0, self._kept - needed), self._kept) + bytes(self._tail)

    def _slice(self, start: int, end: int) -> bytes:
        border = len(self._memory)
        filed = self._from_file(max(0, start - border), end - border)
        return bytes(self._memory[start:end]) + filed

    def _from_file(self, start: int, end: int) -> bytes:
        if self._file is None or start >= end:
            return b""
        self._file.seek(start)
        return self._file.read(min(end, self._filed) - start)

    def close(self) -> None:
        """Give the disk space back."""
        if self._file is not None:
            self._file.close()
