"""A server that records requests as raw bytes and sends scripted answers."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass
class Asked:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class RawServer:
    """Sends `answers` in order; repeats the last one."""

    def __init__(self) -> None:
        self.answers: list[bytes] = [OK]
        self.asked: list[Asked] = []
        self.url = ""
        # Takes the place of it all.
        self.talk_as = self.answered

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self.talk_as(reader, writer)

    async def answered(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            line, *fields = head.decode("latin-1").strip().split("\r\n")
            method, target, _ = line.split(" ")
            headers = {k.lower(): v.strip() for k, _, v in (f.partition(":") for f in fields)}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            self.asked.append(Asked(method, target, headers, body))
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            writer.write(answer)
            await writer.drain()
        finally:
            writer.close()


@asynccontextmanager
async def raw_server():
    made = RawServer()
    server = await asyncio.start_server(made.talk, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        server.close()
        await server.wait_closed()


def answer(status: int, body: bytes = b"", **headers: str) -> bytes:
    """A complete HTTP response; `_` in header names stands for `-`."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def redirect(location: str, status: int = 302) -> bytes:
    return (
        f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\nLocation: ".encode()
        + location.encode()
        + b"\r\n\r\n"
    )
