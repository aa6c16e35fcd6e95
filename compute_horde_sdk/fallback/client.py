"""A client with the methods of `ComputeHordeClient` that runs jobs on cloud machines."""

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import uuid4

from compute_horde_sdk.fallback import script, sky
from compute_horde_sdk.fallback.errors import FallbackError
from compute_horde_sdk.fallback.jobs import (
    NO_STREAMING,
    FallbackJob,
    FallbackJobResult,
    FallbackJobStatus,
)
from compute_horde_sdk.fallback.spec import FallbackJobSpec
from compute_horde_sdk.job_spec import ComputeHordeJobSpec

IDLE_MINUTES = 15
PAGE_SIZE = 10

AttemptCallback = Callable[[FallbackJob], Awaitable[None] | None]


class FallbackClient:
    """Runs each job on its own machine at `cloud`, released after `idle_minutes` without work.

    Further keyword arguments are options of `sky.Resources`, for example `use_spot=True`.
    """

    def __init__(self, cloud: str, idle_minutes: int = IDLE_MINUTES, **kwargs: Any) -> None:
        sky.installed()
        self.cloud = cloud
        self.idle_minutes = idle_minutes
        self.options = kwargs

    async def create_job(self, job_spec: FallbackJobSpec | ComputeHordeJobSpec) -> FallbackJob:
        """Start a machine and the job on it."""
        spec = job_spec
        if isinstance(spec, ComputeHordeJobSpec):
            spec = FallbackJobSpec.from_job_spec(spec)
        if spec.streaming:
            raise FallbackError(NO_STREAMING)
        uuid = str(uuid4())
        await sky.launch(self.cloud, uuid, spec, self.idle_minutes, self.options)
        return FallbackJob(self, uuid, FallbackJobStatus.ACCEPTED)

    async def run_until_complete(
        self,
        job_spec: FallbackJobSpec | ComputeHordeJobSpec,
        job_attempt_callback: AttemptCallback | None = None,
        timeout: float | None = None,
        max_attempts: int = 3,
    ) -> FallbackJob:
        """Create the job and wait for it; retry with a new job while it does not succeed.

        `timeout` is in seconds, for all attempts; `max_attempts` of 0 or less means no limit.
        """
        began = time.monotonic()
        attempt = 0
        while True:
            attempt += 1
            job = await self.create_job(job_spec)
            if job_attempt_callback is not None:
                pending = job_attempt_callback(job)
                if inspect.isawaitable(pending):
                    await pending
            left = None if timeout is None else timeout - (time.monotonic() - began)
            await job.wait(left)
            if job.status.is_successful() or 0 < max_attempts <= attempt:
                return job

    async def get_job(self, job_uuid: str) -> FallbackJob:
        """A job whose machine still exists; raises `FallbackNotFoundError` otherwise."""
        status = await sky.status(job_uuid)
        result = None
        if not status.is_in_progress():
            left = script.result(await sky.log(job_uuid))
            result = FallbackJobResult(**vars(left))
        return FallbackJob(self, job_uuid, status, result)

    async def get_jobs(self, page: int = 1, page_size: int = PAGE_SIZE) -> list[FallbackJob]:
        """One page of the jobs whose machines still exist."""
        uuids = (await sky.uuids())[(page - 1) * page_size : page * page_size]
        return await asyncio.gather(*map(self.get_job, uuids))

    async def iter_jobs(self) -> AsyncIterator[FallbackJob]:
        """Yield all jobs whose machines still exist."""
        for uuid in await sky.uuids():
            yield await self.get_job(uuid)

    async def delete_job(self, job_uuid: str) -> None:
        """Release the job's machine now; its results are lost."""
        await sky.down(job_uuid)
