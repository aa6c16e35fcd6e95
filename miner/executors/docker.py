"""The miner's only door to a container engine: the few calls it needs, over the engine's socket."""

import asyncio
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from compute_horde.errors import ContainerError

OWNER, EXECUTOR, ROLE = "compute_horde.owner", "compute_horde.executor", "compute_horde.role"
CALL_SECONDS = 30.0
LONG_SECONDS = 600.0
NOT_FOUND = 404
GONE = frozenset({304, NOT_FOUND, 409})


class Engine:
    """A Docker engine behind a unix socket. Every failure is a `ContainerError`."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    async def containers(self, labels: dict[str, str]) -> list[str]:
        """Ids of all containers, running or not, with these labels."""
        wanted = [f"{name}={value}" for name, value in labels.items()]
        query = urlencode({"all": "1", "filters": json.dumps({"label": wanted})})
        found = await self._call("GET", f"/containers/json?{query}")
        return [one["Id"] for one in found]

    async def stop(self, container: str, seconds: int) -> None:
        """Ask a container to end and kill it when it takes longer; harmless when it is gone."""
        await self._call("POST", f"/containers/{quote(container)}/stop?t={seconds}", also=GONE)

    async def remove(self, container: str) -> None:
        """Kill and delete a container; harmless when it is gone."""
        path = f"/containers/{quote(container)}"
        await self._call("DELETE", f"{path}?force=1&v=1", also=GONE)
        # One that is on its way out already is a conflict, and is waited for.
        await self._call("POST", f"{path}/wait?condition=removed", also=GONE)

    async def remove_all(self, labels: dict[str, str]) -> int:
        """Kill and delete every container with these labels; how many there were."""
        found = await self.containers(labels)
        await asyncio.gather(*(self.remove(one) for one in found))
        return len(found)

    async def run(self, name: str, options: dict[str, Any]) -> str:
        """Create and start a container, pulling its image when it is missing; its id."""
        path = f"/containers/create?{urlencode({'name': name})}"
        try:
            made = await self._call("POST", path, options)
        except ContainerError as exc:
            if "No such image" not in str(exc):
                raise
            await self.pull(options["Image"])
            made = await self._call("POST", path, options)
        await self._call("POST", f"/containers/{made['Id']}/start")
        return str(made["Id"])

    async def pull(self, image: str) -> None:
        """Fetch an image."""
        name, tag = _split(image)
        query = urlencode({"fromImage": name, "tag": tag})
        try:
            text = await self._raw("POST", f"/images/create?{query}", None, LONG_SECONDS)
        except ContainerError as exc:
            raise ContainerError(f"{image} cannot be pulled: {exc}") from exc
        for line in text.splitlines():
            if problem := json.loads(line).get("error"):
                raise ContainerError(f"{image} cannot be pulled: {problem}")

    async def exit_code(self, container: str) -> int | None:
        """Wait, for as long as it takes, until a container ends; None when there is none."""
        path = f"/containers/{quote(container)}/wait"
        text = await self._raw("POST", path, None, None, frozenset({NOT_FOUND}))
        try:
            ended = json.loads(text)
        except ValueError as exc:
            raise ContainerError(f"docker at {self._socket} hung up") from exc
        code: int | None = ended.get("StatusCode")
        return code

    async def _call(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        also: frozenset[int] = frozenset(),
    ) -> Any:
        text = await self._raw(method, path, body, CALL_SECONDS, also)
        return json.loads(text) if text.strip() else None

    async def _raw(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None,
        seconds: float | None,
        also: frozenset[int] = frozenset(),
    ) -> str:
        try:
            async with asyncio.timeout(seconds):
                status, text = await self._exchange(method, path, body)
        except TimeoutError as exc:
            raise ContainerError(f"docker did not answer within {seconds:g} s") from exc
        except (OSError, ValueError, asyncio.IncompleteReadError) as exc:
            raise ContainerError(f"docker at {self._socket} cannot be reached: {exc}") from exc
        if status >= 300 and status not in also:
            raise ContainerError(f"docker answered {status}: {_problem(text)}")
        return text

    async def _exchange(
        self, method: str, path: str, body: dict[str, Any] | None
    ) -> tuple[int, str]:
        """One request; HTTP/1.0, so that the answer ends where the connection does."""
        reader, writer = await asyncio.open_unix_connection(str(self._socket))
        try:
            sent = json.dumps(body).encode() if body is not None else b""
            head = (
                f"{method} {path} HTTP/1.0\r\nHost: docker\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(sent)}\r\n\r\n"
            )
            writer.write(head.encode() + sent)
            await writer.drain()
            answer = await reader.read()
        finally:
            writer.close()
        if not answer:
            raise ConnectionError("it hung up")
        first, _, rest = answer.partition(b"\r\n")
        return int(first.split()[1]), rest.partition(b"\r\n\r\n")[2].decode(errors="replace")


def _split(image: str) -> tuple[str, str]:
    if "@" in image:
        name, _, tag = image.partition("@")
        return name, tag
    name, colon, tag = image.rpartition(":")
    return (name, tag) if colon and "/" not in tag else (image, "latest")


def _problem(text: str) -> str:
    try:
        return str(json.loads(text)["message"])[:500]
    except (ValueError, KeyError, TypeError):
        return text[:500]
