"""A web server that reports its readiness."""

import socket

import uvicorn

from compute_horde import startup


class ReportingServer(uvicorn.Server):
    """Reports that the process is ready when it listens at `address`."""

    def __init__(self, options: uvicorn.Config, address: str) -> None:
        super().__init__(options)
        self._address = address

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            startup.ready(listens=self._address)
