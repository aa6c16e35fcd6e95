"""The timeout of waiting for a job."""

import asyncio
from typing import Any, Protocol

from compute_horde_sdk.errors import (
    ComputeHordeError,
    ComputeHordeJobTimeoutError,
    attach,
)
from compute_horde_sdk.job_status import ComputeHordeJobStatus


class WaitedFor(Protocol):
    """The job that is waited for."""

    uuid: str

    @property
    def status(self) -> ComputeHordeJobStatus: ...


class Deadline:
    """`asyncio.timeout` that raises `ComputeHordeJobTimeoutError` when it expires itself.

    `timeout` is in seconds, None for no limit; `goal` completes "job ... did not ...". Every SDK
    error raised inside gets the job set.
    """

    def __init__(self, job: WaitedFor, timeout: float | None, goal: str) -> None:
        self._job, self._timeout, self._goal = job, timeout, goal
        self._scope = asyncio.timeout(timeout)

    async def __aenter__(self) -> None:
        await self._scope.__aenter__()

    async def __aexit__(self, kind: Any, raised: Any, traceback: Any) -> None:
        if isinstance(raised, ComputeHordeError):
            attach(raised, self._job.uuid, self._job)
        try:
            await self._scope.__aexit__(kind, raised, traceback)
        except TimeoutError as exc:
            if not self._scope.expired():
                raise
            job = self._job
            error = ComputeHordeJobTimeoutError(
                f"job {job.uuid} did not {self._goal} within {self._timeout} seconds, last status: "
                f"{job.status.value}; it is still running: wait again, or see compute-horde job "
                f"{job.uuid}"
            )
            attach(error, job.uuid, job)
            raise error from exc
