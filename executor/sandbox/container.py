"""One container of the engine, and the engine's errors."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiodocker
import aiohttp
from aiodocker.stream import Stream
from yarl import URL

from compute_horde.errors import ContainerError, JobError
from executor.sandbox import engine_faults
from executor.sandbox.engine_faults import BAD_REQUEST

NOT_FOUND = 404
CONFLICT = 409
# Of the file modes of Go, which are the engine's.
GO_DIRECTORY = 1 << 31
GO_TYPE = 1 << 31 | 1 << 27 | 1 << 26 | 1 << 25 | 1 << 24 | 1 << 21 | 1 << 19
STAT_HEADER = "X-Docker-Container-Path-Stat"
ARCHIVE_CHUNK_BYTES = 2**16
GOING = frozenset({"removing", "dead", "removed"})


class EngineError(ContainerError):
    """The engine refused a request or did not answer.

    `status` is its HTTP status, 0 without an answer; `detail` is its text.
    """

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(f"container engine: {detail}")
        self.status = status
        self.detail = detail


@contextmanager
def engine_errors() -> Iterator[None]:
    """Turn errors of the engine and its connection into `EngineError`."""
    try:
        yield
    except aiodocker.DockerError as exc:
        raise EngineError(exc.status, exc.message) from exc
    except (aiohttp.ClientError, OSError) as exc:
        raise EngineError(0, f"it did not answer ({type(exc).__name__})") from exc


@dataclass(frozen=True, slots=True)
class FileStat:
    """A file of a container; `target` is the final target of a link, below the same root."""

    mode: int
    size: int
    target: str

    @property
    def is_folder(self) -> bool:
        """Whether it is a directory."""
        return bool(self.mode & GO_DIRECTORY)

    @property
    def is_regular(self) -> bool:
        """Whether it is a regular file; reading a FIFO, for example, would block."""
        return not self.mode & GO_TYPE


class Container:
    """One container, from its creation to its removal."""

    def __init__(self, docker: aiodocker.Docker, container_id: str) -> None:
        self.id = container_id
        self._docker = docker
        self._container = docker.containers.container(container_id)
        self._stream: Stream | None = None

    async def attach(self) -> None:
        """Attach to the container's output; to be called before the start, so none is missed."""

        async def attach_url() -> tuple[URL, bytes | None, bool]:
            query = {"stdout": "1", "stderr": "1", "stream": "1"}
            return URL(f"containers/{self.id}/attach").with_query(query), None, False

        self._stream = Stream(self._docker, attach_url, aiohttp.ClientTimeout())
        with engine_errors():
            await self._stream.__aenter__()

    async def start(self) -> None:
        """Start the container; raises `JobError` when its command cannot be run."""
        try:
            with engine_errors():
                await self._container.start()
        except EngineError as exc:
            if fault := engine_faults.start_error(exc.status, exc.detail):
                raise fault from exc
            raise

    async def output(self) -> AsyncIterator[tuple[bool, bytes]]:
        """Pieces of output until the container ends, each with whether it is stderr."""
        if self._stream is None:
            return
        with engine_errors():
            while (piece := await self._stream.read_out()) is not None:
                yield piece.stream == 2, piece.data

    async def exit_code(self) -> int:
        """Wait until the container ends; returns its exit code."""
        with engine_errors():
            ended = await self._container.wait()
        return int(ended["StatusCode"])

    async def was_oom_killed(self) -> bool:
        """Whether the kernel killed a process of the container because it was out of memory.

        Raises `EngineError` when the container was removed by somebody else: then its exit code is
        not the job's.
        """
        state = (await self._inspect()).get("State") or {"Status": "removed"}
        if state.get("Status") in GOING:
            raise EngineError(NOT_FOUND, "the job's container was removed by somebody else")
        return bool(state.get("OOMKilled"))

    async def written_bytes(self) -> int:
        """Bytes that the container wrote to its root file system."""
        return int((await self._inspect(size="1")).get("SizeRw") or 0)

    async def root_folder(self) -> Path | None:
        """Where the engine stores what the container wrote to its root; None if not known."""
        kept = (await self._inspect()).get("GraphDriver", {}).get("Data") or {}
        return Path(kept["UpperDir"]) if "UpperDir" in kept else None

    async def pids(self) -> int:
        """The current number of processes and threads; 0 when the engine does not answer."""
        path = f"containers/{self.id}/stats"
        try:
            with engine_errors():
                async with self._docker._query(
                    path, params={"stream": "false", "one-shot": "true"}
                ) as answer:
                    stats = await answer.json()
        except EngineError:
            return 0
        return int((stats.get("pids_stats") or {}).get("current") or 0)

    async def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return bool(((await self._inspect()).get("State") or {}).get("Running"))

    async def mount_points(self) -> set[str]:
        """The paths of all mounts but memory file systems."""
        mounts = (await self._inspect()).get("Mounts") or []
        return {one["Destination"] for one in mounts if one.get("Type") != "tmpfs"}

    async def stat(self, path: str) -> FileStat | None:
        """The file at a path, or None if there is none; the container need not run.

        A link in the last part of the path is not followed. Unlike `archive`, this makes the
        engine read no file of the container.
        """
        url = self._docker._canonicalize_url(f"containers/{self.id}/archive")
        with engine_errors():
            async with self._docker.session.head(url, params={"path": path}) as answer:
                if answer.status == NOT_FOUND:
                    return None
                if answer.status >= BAD_REQUEST:
                    # The answer to HEAD has no text.
                    raise EngineError(answer.status, f"it cannot look at {path[:200]!r}")
                found = json.loads(base64.b64decode(answer.headers[STAT_HEADER]))
        return FileStat(found["mode"], found["size"], found.get("linkTarget") or "")

    async def archive(self, path: str) -> AsyncIterator[bytes]:
        """The files at a path as a tar, in pieces; a link in the last part is not followed.

        The engine also reads the container's `/etc/passwd` and `/etc/group`: where those are
        FIFOs, it blocks for ever.
        """
        archive_path = f"containers/{self.id}/archive"
        with engine_errors():
            async with self._docker._query(archive_path, params={"path": path}) as answer:
                # The client does not close the response itself; unread data is dropped.
                with closing(answer):
                    async for piece in answer.content.iter_chunked(ARCHIVE_CHUNK_BYTES):
                        yield piece

    async def _inspect(self, **how: str) -> dict[str, Any]:
        """The engine's description of the container; empty when it was removed."""
        try:
            with engine_errors():
                return await self._container.show(**how)
        except EngineError as exc:
            if exc.status != NOT_FOUND:
                raise
            return {}

    async def remove(self) -> None:
        """Kill and delete the container with its data; does nothing when it is gone."""
        if self._stream is not None:
            # The client asserts a connection that the engine may have closed already.
            with suppress(AssertionError):
                await self._stream.close()
        try:
            with engine_errors():
                await self._container.delete(force=True, v=True)
        except EngineError as exc:
            if exc.status not in {NOT_FOUND, CONFLICT}:
                raise

    async def kill(self) -> None:
        """Kill the container; does nothing when it has ended."""
        try:
            with engine_errors():
                await self._container.kill()
        except EngineError as exc:
            if exc.status not in {NOT_FOUND, CONFLICT}:
                raise


async def remove_created(creating: asyncio.Task[Container]) -> None:
    """Remove the container that a task creates, unless the engine refused to create it."""
    try:
        container = await creating
    except JobError:
        return
    except EngineError as exc:
        if exc.status:
            return
        raise
    await container.remove()
