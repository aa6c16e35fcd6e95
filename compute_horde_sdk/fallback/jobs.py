"""A job on a cloud machine: its status, its result, and waiting for it."""

import asyncio
from dataclasses import dataclass
from typing import Protocol

from compute_horde_sdk.fallback.errors import FallbackError, FallbackJobTimeoutError
from compute_horde_sdk.job_result import ComputeHordeJobResult
from compute_horde_sdk.job_status import ComputeHordeJobStatus

POLL_SECONDS = 3.0
NO_STREAMING = (
    "streaming through the network's TLS proxy is not available on a fallback machine; open a port "
    "with FallbackJobSpec(ports=...) and let the job serve it itself"
)

FallbackJobStatus = ComputeHordeJobStatus


@dataclass
class FallbackJobResult(ComputeHordeJobResult):
    """The result of a fallback job."""


class JobSource(Protocol):
    """What a job needs of the client that made it."""

    async def get_job(self, job_uuid: str) -> "FallbackJob": ...


class FallbackJob:
    """A job on its own cloud machine. Instances are made by `FallbackClient`."""

    def __init__(
        self,
        client: JobSource,
        uuid: str,
        status: FallbackJobStatus,
        result: FallbackJobResult | None = None,
    ) -> None:
        self._client = client
        self.uuid = uuid
        self.status = status
        self.result = result

    async def wait(self, timeout: float | None = None) -> None:
        """Wait until the job has ended, successfully or not.

        Raises `FallbackJobTimeoutError` after `timeout` seconds; the job keeps running.
        """
        scope = asyncio.timeout(timeout)
        try:
            async with scope:
                while self.status.is_in_progress():
                    await self.refresh()
                    if self.status.is_in_progress():
                        await asyncio.sleep(POLL_SECONDS)
        except TimeoutError as exc:
            if not scope.expired():
                raise
            raise FallbackJobTimeoutError(
                f"job {self.uuid} did not complete within {timeout} seconds, last status: "
                f"{self.status.value}; its machine keeps running"
            ) from exc

    async def wait_for_streaming(self, timeout: float = 120) -> None:
        """Not supported: raises `FallbackError` with what to do instead."""
        raise FallbackError(NO_STREAMING)

    async def refresh(self) -> None:
        """Fetch the job's present status and result once."""
        new = await self._client.get_job(self.uuid)
        self.status, self.result = new.status, new.result

    def __repr__(self) -> str:
        return f"<{type(self).__qualname__}: {self.uuid!r}>"
