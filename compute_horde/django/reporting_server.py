"""A web server that reports its readiness."""

import socket
from types import FrameType

import uvicorn

from compute_horde import startup
from compute_horde.platform.forced_exit import SERVER_STOP_SECONDS, exit_within

LEFT_BEHIND = "something did not end in time and is abandoned"


class ReportingServer(uvicorn.Server):
    """Reports that the process is ready when it listens at `address`.

    Once told to stop, the process ends in `SERVER_STOP_SECONDS` at the latest: a database that does
    not answer would keep the threads that wait for it, and the process with them.
    """

    def __init__(self, options: uvicorn.Config, address: str) -> None:
        super().__init__(options)
        self._address = address

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            startup.ready(listens=self._address)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if not self.should_exit:
            exit_within(SERVER_STOP_SECONDS, LEFT_BEHIND)
        super().handle_exit(sig, frame)
