"""A client of the Docker API over a unix socket, with the few calls that the miner needs."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from compute_horde.errors import ConfigurationError, ContainerError

OWNER, EXECUTOR, ROLE = "compute_horde.owner", "compute_horde.executor", "compute_horde.role"
CHECK_SECONDS = 5.0
CALL_SECONDS = 30.0
LONG_SECONDS = 600.0
NOT_FOUND = 404
GONE = frozenset({304, NOT_FOUND, 409})


class DockerEngine:
    """A Docker engine at a unix socket. Every failed call raises `ContainerError`."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    async def check(self) -> None:
        """Raise `ConfigurationError`, with the remedy, if this user cannot use the engine."""
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                await self._call("GET", "/version")
        except TimeoutError as exc:
            raise ConfigurationError(
                f"the Docker engine at {self._socket} does not answer; restart it"
            ) from exc
        except ContainerError as exc:
            raise ConfigurationError(self._remedy(exc)) from exc

    def _remedy(self, error: ContainerError) -> str:
        if isinstance(error.__cause__, PermissionError):
            group = self._socket.stat().st_gid if self._socket.exists() else "?"
            return (
                f"user {os.getuid()} may not use the Docker socket {self._socket}: add the user to "
                f"group {group}, or start the container with `--group-add {group}`"
            )
        return (
            f"{error}: start Docker, mount its socket into the container, or correct "
            "MINER_DOCKER_HOST"
        )

    def is_present(self) -> bool:
        """Whether the socket exists."""
        return self._socket.exists()

    async def containers(self, labels: dict[str, str]) -> list[str]:
        """The ids of all containers with these labels, running or not."""
        filters = [f"{name}={value}" for name, value in labels.items()]
        query = urlencode({"all": "1", "filters": json.dumps({"label": filters})})
        found = await self._call("GET", f"/containers/json?{query}")
        return [one["Id"] for one in found]

    async def stop(self, container: str, seconds: int) -> None:
        """Stop a container, and kill it after `seconds`; does nothing if it does not exist."""
        await self._call("POST", f"/containers/{quote(container)}/stop?t={seconds}", accepted=GONE)

    async def remove(self, container: str) -> None:
        """Kill and delete a container; does nothing if it does not exist."""
        path = f"/containers/{quote(container)}"
        await self._call("DELETE", f"{path}?force=1&v=1", accepted=GONE)
        # For a container that is being removed already, the engine answers 409; wait for its end.
        await self._call("POST", f"{path}/wait?condition=removed", accepted=GONE)

    async def remove_all(self, labels: dict[str, str]) -> int:
        """Kill and delete all containers with these labels; returns their number."""
        found = await self.containers(labels)
        await asyncio.gather(*(self.remove(one) for one in found))
        return len(found)

    async def run(self, name: str, options: dict[str, Any]) -> str:
        """Create and start a container, after pulling a missing image; returns its id."""
        path = f"/containers/create?{urlencode({'name': name})}"
        try:
            created = await self._call("POST", path, options)
        except ContainerError as exc:
            if "No such image" not in str(exc):
                raise
            await self.pull(options["Image"])
            created = await self._call("POST", path, options)
        await self._call("POST", f"/containers/{created['Id']}/start")
        return str(created["Id"])

    async def pull(self, image: str) -> None:
        """Pull an image."""
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
        """Wait without a time limit until a container exits; None if it does not exist."""
        path = f"/containers/{quote(container)}/wait"
        text = await self._raw("POST", path, None, None, frozenset({NOT_FOUND}))
        try:
            result = json.loads(text)
        except ValueError as exc:
            raise ContainerError(f"docker at {self._socket} closed the connection") from exc
        code: int | None = result.get("StatusCode")
        return code

    async def _call(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        accepted: frozenset[int] = frozenset(),
    ) -> Any:
        text = await self._raw(method, path, body, CALL_SECONDS, accepted)
        return json.loads(text) if text.strip() else None

    async def _raw(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None,
        seconds: float | None,
        accepted: frozenset[int] = frozenset(),
    ) -> str:
        try:
            async with asyncio.timeout(seconds):
                status, text = await self._exchange(method, path, body)
        except TimeoutError as exc:
            raise ContainerError(f"docker did not answer within {seconds:g} s") from exc
        except (OSError, ValueError, asyncio.IncompleteReadError) as exc:
            raise ContainerError(f"docker at {self._socket} cannot be reached: {exc}") from exc
        if status >= 300 and status not in accepted:
            raise ContainerError(f"docker answered {status}: {_problem(text)}")
        return text

    async def _exchange(
        self, method: str, path: str, body: dict[str, Any] | None
    ) -> tuple[int, str]:
        """Send one request. With HTTP/1.0, the response ends where the connection does."""
        reader, writer = await asyncio.open_unix_connection(str(self._socket))
        try:
            content = json.dumps(body).encode() if body is not None else b""
            head = (
                f"{method} {path} HTTP/1.0\r\nHost: docker\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(content)}\r\n\r\n"
            )
            writer.write(head.encode() + content)
            await writer.drain()
            response = await reader.read()
        finally:
            writer.close()
        if not response:
            raise ConnectionError("it closed the connection")
        first, _, rest = response.partition(b"\r\n")
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
