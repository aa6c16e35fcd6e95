"""What a streaming job needs around it: made while its inputs are fetched, gone with it."""

import asyncio
import json
import os
import socket
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from compute_horde import certificates
from compute_horde.errors import ContainerError, HordeError, JobError
from compute_horde.protocol.job import StreamingDetails
from compute_horde.vocabulary import FailureReason, HordeReason
from executor.config import Config
from executor.containers import Container, Engine, removed
from executor.stages import check
from executor.streaming import ports, relay
from executor.streaming.proxy import Order
from executor.workdir import WorkDir

PROXY = ("-m", "executor.streaming.proxy")
HOME = Path(__file__).resolve().parents[2]
LINE_BYTES = 1024
UNHEALTHY = "Streaming job health check failed"

# Told the server's certificate and port once the job serves.
Serves = Callable[[str, int], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Proxy:
    """The process that users reach, and where."""

    process: asyncio.subprocess.Process
    certificate: str
    port: int

    async def says(self, word: str) -> None:
        """Wait for this one word; `HordeError` when the process ends instead."""
        assert self.process.stdout  # noqa: S101
        said = await self.process.stdout.readline()
        if said.decode(errors="replace").strip() != word:
            raise _failed("the streaming proxy ended before the job")

    async def is_told(self, line: str) -> None:
        """Tell it something; what it does not hear any more shows in what it says."""
        assert self.process.stdin  # noqa: S101
        with suppress(ConnectionError):
            self.process.stdin.write(line.encode() + b"\n")
            await self.process.stdin.drain()


class Service:
    """The relay, the proxy and the port of one streaming job."""

    def __init__(
        self,
        details: StreamingDetails,
        executor_id: str,
        engine: Engine,
        work: WorkDir,
        config: Config,
    ) -> None:
        self._details = details
        self._executor_id = executor_id
        self._engine = engine
        self._work = work
        self._config = config
        self._process: asyncio.subprocess.Process | None = None
        self._proxy: Proxy | None = None
        self._relaying: asyncio.Task[Container] | None = None
        self._preparing = asyncio.create_task(self._prepared())

    async def network(self) -> str:
        """The job's network mode, once all that stands around it is ready."""
        try:
            return await asyncio.shield(self._preparing)
        except (ContainerError, OSError, ValueError) as exc:
            raise _failed(f"what a streaming job needs could not be made: {exc}") from exc

    async def until_over(self, seconds: float, serves: Serves) -> tuple[FailureReason, str]:
        """Tell that the job serves; return only when it did not within `seconds`."""
        assert self._proxy  # noqa: S101
        try:
            async with asyncio.timeout(seconds):
                await self._proxy.is_told("ask")
                await self._proxy.says("healthy")
        except TimeoutError:
            return FailureReason.TIMEOUT, UNHEALTHY
        await serves(self._proxy.certificate, self._proxy.port)
        await self._proxy.says("goodbye")
        raise _failed("the streaming proxy ended before the job")

    async def close(self) -> None:
        """Leave nothing: no process, no port, no container."""
        self._preparing.cancel()
        await asyncio.gather(self._preparing, return_exceptions=True)
        if self._process:
            assert self._process.stdin  # noqa: S101
            # Either ends it; it may be another user's process, which not everybody may kill.
            self._process.stdin.close()
            with suppress(ProcessLookupError, PermissionError):
                self._process.kill()
            await self._process.wait()
        if self._relaying:
            await removed(self._relaying)

    async def _prepared(self) -> str:
        proxying = asyncio.create_task(self._proxied())
        relaying = asyncio.create_task(self._relayed())
        try:
            self._proxy, container = await asyncio.gather(proxying, relaying)
        finally:
            for task in (proxying, relaying):
                task.cancel()
            await asyncio.gather(proxying, relaying, return_exceptions=True)
        return relay.network(container.id)

    async def _proxied(self) -> Proxy:
        try:
            client = certificates.read(self._details.public_key)
        except ValueError as exc:
            text = f"streaming_details.public_key is no certificate in PEM: {exc}"
            raise JobError(FailureReason.UNKNOWN, text) from exc
        config = self._config
        identity = await asyncio.to_thread(certificates.new_identity, self._details.executor_ip)
        with ports.listen(config.streaming_host, ports.parsed(config.streaming_ports)) as listener:
            port: int = listener.getsockname()[1]
            order = Order(
                listener=listener.fileno(),
                parent=os.getpid(),
                folder=str(relay.folder(self._work)),
                certificate=identity.pem,
                private_key=identity.key_pem,
                client_certificate=certificates.pem_of(client),
                body_max_bytes=config.streaming_body_max_bytes,
            )
            self._process = await _started(listener)
        proxy = Proxy(self._process, identity.pem, port)
        await proxy.is_told(json.dumps(asdict(order)))
        await proxy.says("ready")
        return proxy

    async def _relayed(self) -> Container:
        config = self._config
        try:
            image = await check.image(config.relay_image, self._engine, config.pull_policy)
        except JobError as exc:
            raise _failed(f"the relay's image is not there: {exc}") from exc
        order = relay.order(
            image, self._work, config, executor_id=self._executor_id, uid=os.getuid()
        )
        # Whatever happens meanwhile, what was asked for is found again.
        self._relaying = asyncio.create_task(self._engine.create(order))
        container = await asyncio.shield(self._relaying)
        await container.start()
        return container


async def _started(listener: socket.socket) -> asyncio.subprocess.Process:
    """Nothing of our environment is the proxy's business."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *PROXY,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        pass_fds=(listener.fileno(),),
        cwd=HOME,
        env={},
        limit=LINE_BYTES,
    )


def _failed(what: str) -> HordeError:
    return HordeError(HordeReason.STREAMING_FAILED, what)
