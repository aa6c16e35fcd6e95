"""An ssh that brings a server's engine to a socket here; started again when it dies."""

import asyncio
import logging
from pathlib import Path

from compute_horde.errors import ContainerError

log = logging.getLogger(__name__)

OPEN_SECONDS = 20.0
LOOK_SECONDS = 0.1
SHOWN_BYTES = 2000


class Tunnel:
    """At most one ssh process; `up` starts it when there is none."""

    def __init__(self, command: list[str], socket: Path) -> None:
        self._command = command
        self._socket = socket
        self._ssh: asyncio.subprocess.Process | None = None
        self._starting = asyncio.Lock()

    async def up(self) -> None:
        """Return once the socket is there; `ContainerError` with ssh's own words when not."""
        async with self._starting:
            if self._ssh is None or self._ssh.returncode is not None:
                await self._start()

    async def down(self) -> None:
        """Hang up."""
        if self._ssh and self._ssh.returncode is None:
            self._ssh.terminate()
            await self._ssh.wait()

    async def _start(self) -> None:
        # What an ssh that was killed left would look like an open tunnel.
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
                await self._opened(self._ssh)
        except TimeoutError as exc:
            await self.down()
            raise ContainerError(f"ssh opened nothing within {OPEN_SECONDS:g} s") from exc

    async def _opened(self, ssh: asyncio.subprocess.Process) -> None:
        """ssh says nothing when the forwarding stands, so look for its socket."""
        while not self._socket.exists():
            if ssh.returncode is not None:
                said = await ssh.stderr.read(SHOWN_BYTES) if ssh.stderr else b""
                raise ContainerError(f"ssh failed: {said.decode(errors='replace').strip()}")
            await asyncio.sleep(LOOK_SECONDS)
        log.info("tunnel open", extra={"socket": str(self._socket)})
