"""A container engine on a Unix socket whose containers end with exit code 0 as soon as they start.

It speaks the part of Docker's API that an executor uses for a job without input and output, so that
a benchmark can measure everything around the container. Nothing is run.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from secrets import token_hex
from typing import Any

IMAGE_ID = "sha256:" + "1" * 64
VERSION = {
    "ApiVersion": "1.41",
    "Os": "linux",
    "Arch": "amd64",
    "Components": [{"Name": "runc", "Version": "99.0.0"}, {"Name": "Engine", "Version": "99.0.0"}],
}
INFO = {
    "SecurityOptions": ["name=seccomp,profile=default"],
    "Runtimes": {"runc": {"path": "runc"}},
    "DefaultRuntime": "runc",
    "DockerRootDir": "/",
}
STATE = {"Status": "exited", "Running": False, "OOMKilled": False, "ExitCode": 0}
FIXED = {"_ping": "OK", "version": VERSION, "info": INFO}
UPGRADED = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"


class InstantEngine:
    """The containers by id, each with an event that is set when it was started."""

    def __init__(self) -> None:
        self._started: dict[str, asyncio.Event] = {}
        self.created = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                if length := re.search(r"(?i)\r\ncontent-length: (\d+)", head):
                    await reader.readexactly(int(length[1]))
                method, target, _ = head.split(" ", 2)
                path = re.sub(r"^/v\d+\.\d+", "", target.partition("?")[0])
                if path.endswith("/attach"):
                    writer.write(UPGRADED)
                    await self._started[path.split("/")[2]].wait()
                    break
                status, answer = await self._answer(method, path)
                writer.write(_response(status, None if method == "HEAD" else answer))
        writer.close()

    async def _answer(self, method: str, path: str) -> tuple[HTTPStatus, Any]:
        match method, path.strip("/").split("/"):
            case _, [name] if name in FIXED:
                return HTTPStatus.OK, FIXED[name]
            case "GET", ["images", *_]:
                return HTTPStatus.OK, {"Id": IMAGE_ID, "RepoTags": [], "Config": {"User": "0"}}
            case "POST", ["containers", "create"]:
                container = token_hex(32)
                self._started[container] = asyncio.Event()
                self.created += 1
                return HTTPStatus.CREATED, {"Id": container, "Warnings": []}
            case _, ["containers", container, *rest] if container in self._started:
                return await self._of_container(container, method, *rest)
        return HTTPStatus.NOT_FOUND, {"message": f"{method} {path} is not here"}

    async def _of_container(
        self, container: str, method: str, action: str = ""
    ) -> tuple[HTTPStatus, Any]:
        match method, action:
            case "GET", "json":
                return HTTPStatus.OK, {"Id": container, "Mounts": [], "State": STATE}
            case "POST", "start":
                self._started[container].set()
                return HTTPStatus.NO_CONTENT, None
            case "POST", "wait":
                await self._started[container].wait()
                return HTTPStatus.OK, {"StatusCode": 0}
            case "DELETE", "":
                del self._started[container]
                return HTTPStatus.NO_CONTENT, None
        return HTTPStatus.NOT_FOUND, {"message": f"{method} {action} is not here"}


def _response(status: HTTPStatus, answer: Any) -> bytes:
    body = b"" if answer is None else json.dumps(answer).encode()
    head = f"HTTP/1.1 {status.value} {status.phrase}\r\nApi-Version: {VERSION['ApiVersion']}\r\n"
    if answer is not None:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


@asynccontextmanager
async def serving(path: Path) -> AsyncIterator[InstantEngine]:
    """An engine that listens on the Unix socket `path` until the context ends."""
    engine = InstantEngine()
    server = await asyncio.start_unix_server(engine.serve, path)
    async with server:
        yield engine


async def main(path: Path) -> None:
    """Serve until the process is ended."""
    async with serving(path):
        await asyncio.Event().wait()
