"""Parser of server-sent events, with a maximum size of each event."""

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass

from compute_horde.errors import ProtocolError

# The last event carries the artifacts.
MAX_EVENT_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """One event; `id` is the Last-Event-ID to resume with after a lost connection."""

    name: str
    data: str
    id: str | None


async def parsed(
    chunks: AsyncIterator[bytes], max_bytes: int = MAX_EVENT_BYTES
) -> AsyncGenerator[ServerSentEvent, None]:
    """The events in `chunks`; raises `ProtocolError` for one over `max_bytes`."""
    reader = _Reader(max_bytes)
    async for line in _lines(chunks, max_bytes):
        if (event := reader.take(line)) is not None:
            yield event


async def _lines(chunks: AsyncIterator[bytes], max_bytes: int) -> AsyncGenerator[bytes, None]:
    held: list[bytes] = []
    size = 0
    ended_in_cr = False
    async for chunk in chunks:
        if ended_in_cr and chunk.startswith(b"\n"):
            chunk = chunk[1:]
        ended_in_cr = chunk.endswith(b"\r")
        *whole, rest = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        for line in whole:
            yield b"".join([*held, line])
            held.clear()
            size = 0
        if rest:
            held.append(rest)
            size += len(rest)
        if size > max_bytes:
            raise ProtocolError(f"an event of over {max_bytes:,} bytes")


class _Reader:
    def __init__(self, max_bytes: int) -> None:
        self._max = max_bytes
        self._id: str | None = None
        self._start()

    def _start(self) -> None:
        self._name, self._data, self._size = "message", list[str](), 0

    def take(self, line: bytes) -> ServerSentEvent | None:
        """Take one line; an empty one ends an event."""
        if not line:
            return self._end()
        name, _, value = line.decode("utf-8", "replace").partition(":")
        value = value.removeprefix(" ")
        match name:
            case "event":
                self._name = value
            case "data":
                self._size += len(line)
                if self._size > self._max:
                    raise ProtocolError(f"an event of over {self._max:,} bytes")
                self._data.append(value)
            case "id" if "\0" not in value:
                self._id = value
        return None

    def _end(self) -> ServerSentEvent | None:
        name, data = self._name, self._data
        self._start()
        # Events without data are ignored, except named ones such as "end".
        if not data and name == "message":
            return None
        return ServerSentEvent(name, "\n".join(data), self._id)
