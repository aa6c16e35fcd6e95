"""A job on a cloud machine as its user holds it."""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from compute_horde_sdk.fallback.errors import FallbackError, FallbackJobTimeoutError
from compute_horde_sdk.results import ComputeHordeJobResult
from compute_horde_sdk.statuses import ComputeHordeJobStatus

if TYPE_CHECKING:
    from compute_horde_sdk.fallback.client import FallbackClient

POLL_SECONDS = 3.0
NO_STREAMING = (
    "streaming through the network's TLS proxy is not to be had on a fallback machine; open a port "
    "with FallbackJobSpec(ports=...) and let the job serve it itself"
)

FallbackJobStatus = ComputeHordeJobStatus


@dataclass
class FallbackJobResult(ComputeHordeJobResult):
    """What a fallback job left behind."""


class FallbackJob:
    """A job on a machine of its own. Made by `FallbackClient`, not by hand."""

    def __init__(
        self,
        client: "FallbackClient",
        uuid: str,
        status: FallbackJobStatus,
        result: FallbackJobResult | None = None,
    ) -> None:
        self._client = client
        self.uuid = uuid
        self.status = status
        self.result = result

    async def wait(self, timeout: float | None = None) -> None:
        """Wait until the job has ended, well or badly."""
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
                f"{self.status.value}; its machine goes on"
            ) from exc

    async def wait_for_streaming(self, timeout: float = 120) -> None:
        """Not to be had here; says what to do instead."""
        raise FallbackError(NO_STREAMING)

    async def refresh(self) -> None:
        """Ask once where the job stands."""
        new = await self._client.get_job(self.uuid)
        self.status, self.result = new.status, new.result

    def __repr__(self) -> str:
        return f"<{type(self).__qualname__}: {self.uuid!r}>"
