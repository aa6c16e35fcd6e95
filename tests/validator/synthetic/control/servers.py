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
        self._server: asyncio.Server | None = None
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

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.read(65536)
        if head:
            line = head.split(b"\r\n")[0].decode("latin-1")
            self.requests.append(line)
            path = line.split(" ")[1] if line.count(" ") > 1 else ""
            status = self.answers.get(path.partition("?")[0], self.status)
            extra = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
            answer = f"HTTP/1.1 {status} X\r\n{extra}Content-Length: {len(self.body)}\r\n"
            writer.write(f"{answer}Connection: close\r\n\r\n{self.body}".encode())
        writer.close()


@asynccontextmanager
async def probed(*servers: ProbedServer) -> AsyncIterator[None]:
    for server in servers:
        await server.start()
    try:
        yield
    finally:
        for server in servers:
            server.fail()
