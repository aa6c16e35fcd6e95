"""Starts and stops the relay and the proxy of a streaming job, while its inputs are fetched."""

import asyncio
import json
import os
import socket
import sys
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from compute_horde.concurrency.task_set import TaskSet
from compute_horde.errors import ContainerError, HordeError, JobError
from compute_horde.protocol.job import StreamingDetails
from compute_horde.streaming import certificates
from compute_horde.vocabulary import FailureReason, HordeReason
from executor.config import Config
from executor.images import job_image
from executor.sandbox.container import Container, remove_created
from executor.sandbox.engine import Engine, Image
from executor.sandbox.engine_faults import not_started
from executor.sandbox.workdir import WorkDir
from executor.streaming import ports, relay
from executor.streaming.proxy import ProxyConfig

PROXY = ("-m", "executor.streaming.proxy")
HOME = Path(__file__).resolve().parents[2]
LINE_BYTES = 1024
UNHEALTHY = "Streaming job health check failed"

# Called with the proxy's certificate and port once the job serves.
OnServing = Callable[[str, int], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Proxy:
    """The running proxy process, with its certificate (PEM) and port."""

    process: asyncio.subprocess.Process
    certificate: str
    port: int

    async def expect(self, word: str) -> None:
        """Wait for this line on stdout; raises `HordeError` for any other, or when it ends."""
        assert self.process.stdout  # noqa: S101
        line = await self.process.stdout.readline()
        if line.decode(errors="replace").strip() != word:
            raise _failed("the streaming proxy ended before the job")

    async def send_line(self, line: str) -> None:
        """Write a line to stdin; if the process has ended, the next `expect` raises."""
        assert self.process.stdin  # noqa: S101
        with suppress(ConnectionError):
            self.process.stdin.write(line.encode() + b"\n")
            await self.process.stdin.drain()


class StreamingService:
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
        self._creating_relay: asyncio.Task[Container] | None = None
        self._preparing = asyncio.create_task(self._prepare())

    async def network(self) -> str:
        """The job's network mode, once relay and proxy run; raises `HordeError` otherwise."""
        try:
            return await asyncio.shield(self._preparing)
        except (ContainerError, OSError, ValueError) as exc:
            raise _failed(f"the relay or proxy of the streaming job did not start: {exc}") from exc

    async def watch(self, seconds: float, serves: OnServing) -> tuple[FailureReason, str]:
        """Watch the service: call `serves` when it is healthy, then wait for the proxy's end.

        Returns the reason when the service is not healthy within `seconds`; raises `HordeError`
        when the proxy ends.
        """
        assert self._proxy  # noqa: S101
        try:
            async with asyncio.timeout(seconds):
                await self._proxy.send_line("ask")
                await self._proxy.expect("healthy")
        except TimeoutError:
            return FailureReason.TIMEOUT, UNHEALTHY
        await serves(self._proxy.certificate, self._proxy.port)
        # The proxy never prints this: the call raises when the process ends.
        await self._proxy.expect("exited")
        raise _failed("the streaming proxy ended before the job")

    async def close(self) -> None:
        """Stop the proxy and remove the relay."""
        self._preparing.cancel()
        await asyncio.gather(self._preparing, return_exceptions=True)
        if self._process:
            assert self._process.stdin  # noqa: S101
            # The end of stdin also stops it: it may run as another user, who may not be killed.
            self._process.stdin.close()
            with suppress(ProcessLookupError, PermissionError):
                self._process.kill()
            await self._process.wait()
        if self._creating_relay:
            await remove_created(self._creating_relay)

    async def _prepare(self) -> str:
        async with TaskSet() as tasks:
            self._proxy, container = await asyncio.gather(
                tasks.spawn(self._start_proxy()), tasks.spawn(self._start_relay())
            )
        return relay.network(container.id)

    async def _start_proxy(self) -> Proxy:
        try:
            client = certificates.read(self._details.public_key)
        except ValueError as exc:
            text = f"streaming_details.public_key is no certificate in PEM: {exc}"
            raise not_started(text) from exc
        config = self._config
        identity = await asyncio.to_thread(certificates.new_identity, self._details.executor_ip)
        with ports.listen(
            config.streaming_host, ports.parse_range(config.streaming_ports)
        ) as listener:
            port: int = listener.getsockname()[1]
            proxy_config = ProxyConfig(
                listener=listener.fileno(),
                parent=os.getpid(),
                folder=str(relay.folder(self._work)),
                certificate=identity.pem,
                private_key=identity.key_pem,
                client_certificate=certificates.pem_of(client),
                body_max_bytes=config.streaming_body_max_bytes,
            )
            self._process = await _spawn_proxy(listener)
        proxy = Proxy(self._process, identity.pem, port)
        await proxy.send_line(json.dumps(asdict(proxy_config)))
        await proxy.expect("ready")
        return proxy

    async def _start_relay(self) -> Container:
        with ExitStack() as exit_stack:
            image = await self._relay_image(exit_stack)
            spec = relay.relay_container_spec(
                image, self._work, self._config, executor_id=self._executor_id, uid=os.getuid()
            )
            # `close` finds the container by this task, whatever happens meanwhile.
            self._creating_relay = asyncio.create_task(self._engine.create(spec))
            try:
                container = await asyncio.shield(self._creating_relay)
                await container.start()
            except JobError as exc:
                # The image is the operator's, so the job is not at fault.
                image_name = self._config.relay_image
                text = f"the relay cannot be started, see EXECUTOR_RELAY_IMAGE={image_name}: {exc}"
                raise _failed(text) from exc
        return container

    async def _relay_image(self, exit_stack: ExitStack) -> Image:
        config = self._config
        try:
            return await job_image.obtain_own(config.relay_image, self._engine, config, exit_stack)
        except (JobError, HordeError) as exc:
            raise _failed(f"the relay's image is not available: {exc}") from exc


async def _spawn_proxy(listener: socket.socket) -> asyncio.subprocess.Process:
    """Start the proxy process, without the executor's environment."""
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
