"""An ssh process that forwards the engine of a server to a local socket."""

import asyncio
import logging
from pathlib import Path

from compute_horde.errors import ContainerError

log = logging.getLogger(__name__)

OPEN_SECONDS = 20.0
POLL_SECONDS = 0.1
SHOWN_BYTES = 2000


class Tunnel:
    """An ssh tunnel; `up` starts its process, again if it has ended."""

    def __init__(self, command: list[str], socket: Path) -> None:
        self._command = command
        self._socket = socket
        self._ssh: asyncio.subprocess.Process | None = None
        self._starting = asyncio.Lock()

    async def up(self) -> None:
        """Return once the socket exists; `ContainerError` quotes ssh's error output."""
        async with self._starting:
            if self._ssh is None or self._ssh.returncode is not None:
                await self._start()

    async def down(self) -> None:
        """Stop the ssh process."""
        if self._ssh and self._ssh.returncode is None:
            self._ssh.terminate()
            await self._ssh.wait()

    async def _start(self) -> None:
        # The socket of an ssh process that was killed would look like an open tunnel.
        self._socket.unlink(missing_ok=True)
        try:
            self._ssh = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
            )
        except OSError as exc:
            raise ContainerError(f"ssh cannot be started: {exc}") from exc
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                await self._wait_for_socket(self._ssh)
        except TimeoutError as exc:
            await self.down()
            raise ContainerError(f"ssh did not open the tunnel within {OPEN_SECONDS:g} s") from exc

    async def _wait_for_socket(self, ssh: asyncio.subprocess.Process) -> None:
        """Wait until the socket exists: ssh does not report that the forwarding is ready."""
        while not self._socket.exists():
            if ssh.returncode is not None:
                error = await ssh.stderr.read(SHOWN_BYTES) if ssh.stderr else b""
                raise ContainerError(f"ssh failed: {error.decode(errors='replace').strip()}")
            await asyncio.sleep(POLL_SECONDS)
        log.info("tunnel open", extra={"socket": str(self._socket)})
