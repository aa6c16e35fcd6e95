"""Servers that control probes try, which a test can take away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class ProbedServer:
    """An HTTP server on loopback: answers every request with `status`, keeps the request lines."""

    def __init__(self, status: int = 200, headers: dict[str, str] | None = None, body: str = ""):
        self.status = status
        self.headers = headers or {}
        self.body = body
        self.answers: dict[str, int] = {}
        self.requests: list[str] = []
        self.is_silent = False
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self.port = 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def fail(self) -> None:
        """From now on, nothing listens."""
        if self._server:
            self._server.close()

    async def stop(self) -> None:
        self.fail()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._serving.add(task)
        try:
            await self._answer(reader, writer)
        except OSError:
            pass
        finally:
            writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.read(65536)
        if head and self.is_silent:
            await reader.read()
        elif head:
            line = head.split(b"\r\n")[0].decode("latin-1")
            self.requests.append(line)
            path = line.split(" ")[1] if line.count(" ") > 1 else ""
            status = self.answers.get(path.partition("?")[0], self.status)
            extra = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
            answer = f"HTTP/1.1 {status} X\r\n{extra}Content-Length: {len(self.body)}\r\n"
            writer.write(f"{answer}Connection: close\r\n\r\n{self.body}".encode())
            writer.close()
            await writer.wait_closed()


@asynccontextmanager
async def probed(*servers: ProbedServer) -> AsyncIterator[None]:
    for server in servers:
        await server.start()
    try:
        yield
    finally:
        for server in servers:
            await server.stop()
