"""The user's way in: make jobs, find them again, report those who cheat."""

import asyncio
import inspect
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

from compute_horde_sdk.config import DEFAULT_FACILITATOR_URL
from compute_horde_sdk.errors import ComputeHordeError, ComputeHordeNotFoundError
from compute_horde_sdk.jobs import ComputeHordeJob, is_uuid
from compute_horde_sdk.spec import ComputeHordeJobSpec
from compute_horde_sdk.statuses import ComputeHordeJobStatus

if TYPE_CHECKING:
    from compute_horde.signing import Signer
    from compute_horde_sdk.http import Facilitator
    from compute_horde_sdk.streaming import Identity
    from compute_horde_sdk.watch import Watch

PAGE_SIZE = 10
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 5.0

_WANTED_ENDS = (ComputeHordeJobStatus.COMPLETED, ComputeHordeJobStatus.CANCELLED)
AttemptCallback = Callable[[ComputeHordeJob], Awaitable[None] | None]


class ComputeHordeClient:
    """Speaks to one facilitator as one hotkey, for jobs at one validator.

    `hotkey` is anything with `ss58_address` and `sign(bytes) -> 64 bytes`.
    """

    def __init__(
        self,
        hotkey: "Signer",
        compute_horde_validator_hotkey: str,
        job_queue: str | None = None,
        facilitator_url: str = DEFAULT_FACILITATOR_URL,
    ) -> None:
        self.hotkey = hotkey
        self.compute_horde_validator_hotkey = compute_horde_validator_hotkey
        self.job_queue = job_queue
        self.facilitator_url = facilitator_url
        self._facilitator: Facilitator | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self.aclose()

    @property
    def facilitator(self) -> "Facilitator":
        """The line to the facilitator. Loaded late, to keep `import compute_horde_sdk.v1` fast."""
        if self._facilitator is None:
            from compute_horde_sdk.http import Facilitator

            self._facilitator = Facilitator(self.facilitator_url, self.hotkey)
        return self._facilitator

    def watch(self, job_uuid: str) -> "Watch":
        """Whence a job's news comes."""
        from compute_horde_sdk.watch import Watch

        return Watch(self.facilitator, job_uuid)

    async def aclose(self) -> None:
        """Hang up. Not needed for a script that ends anyway."""
        if self._facilitator is not None:
            await self._facilitator.aclose()

    async def authenticate(self) -> None:
        """Log in. Done by itself whenever it is needed."""
        await self.facilitator.authenticate()

    async def create_job(
        self,
        job_spec: ComputeHordeJobSpec,
        on_trusted_miner: bool = False,  # noqa: FBT001, FBT002
    ) -> ComputeHordeJob:
        """Sign the spec and hand it in. Tried again safely: one call makes at most one job."""
        from compute_horde_sdk import requests

        identity = _new_identity() if job_spec.streaming else None
        request = requests.job_request(
            job_spec,
            self.hotkey,
            validator=self.compute_horde_validator_hotkey,
            on_trusted_miner=on_trusted_miner,
            certificate=identity.pem if identity else None,
        )
        headers = request.headers | {"Idempotency-Key": str(uuid4())}
        answer = await self.facilitator.post("api/v1/job-docker/", request.body, headers)
        job = ComputeHordeJob.from_answer(self, answer.json())
        if identity is not None:
            job.streaming_public_cert = identity.certificate
            job.streaming_private_key = identity.private_key
        return job

    async def run_until_complete(
        self,
        job_spec: ComputeHordeJobSpec,
        on_trusted_miner: bool = False,  # noqa: FBT001, FBT002
        job_attempt_callback: AttemptCallback | None = None,
        timeout: float | None = None,
        max_attempts: int = 3,
    ) -> ComputeHordeJob:
        """Create the job and wait for it; again with a new job as long as it does not succeed.

        A job that was cancelled is not tried again.
        `timeout` is for all attempts together; `max_attempts` of 0 or less knows no end. Returns
        the job of the last attempt, whatever became of it.
        """
        began = time.monotonic()
        attempt = 0
        while True:
            attempt += 1
            job = await self.create_job(job_spec, on_trusted_miner)
            if job_attempt_callback is not None:
                told = job_attempt_callback(job)
                if inspect.isawaitable(told):
                    await told
            await job.wait(_left(timeout, began))
            if job.status in _WANTED_ENDS or 0 < max_attempts <= attempt:
                return job
            pause = min(FIRST_PAUSE_SECONDS * 2 ** min(attempt - 1, 8), LONGEST_PAUSE_SECONDS)
            await asyncio.sleep(pause * random.uniform(1.0, 1.1))

    async def cancel_job(self, job_uuid: str) -> ComputeHordeJob:
        """Have one of this hotkey's jobs ended, and get it as it stands; harmless to repeat.

        It ends a moment later, as its `wait` tells. One that has ended already stays as it is.
        """
        from compute_horde_sdk import requests

        uuid = _plain(job_uuid)
        request = requests.cancel(uuid, self.hotkey)
        # Nothing more happens however often it arrives, so it may be sent again.
        headers = request.headers | {"Idempotency-Key": str(uuid4())}
        path = f"api/v1/jobs/{uuid}/cancel/"
        try:
            answer = await self.facilitator.post(path, request.body, headers)
        except ComputeHordeNotFoundError as exc:
            if self.facilitator.knows("cancel"):
                raise
            raise ComputeHordeError(
                f"this facilitator cannot cancel jobs; {uuid} ends within its time limits"
            ) from exc
        return ComputeHordeJob.from_answer(self, answer.json())

    async def get_job(self, job_uuid: str) -> ComputeHordeJob:
        """One of this hotkey's jobs, or `ComputeHordeNotFoundError`."""
        answer = await self.facilitator.get(f"api/v1/jobs/{_plain(job_uuid)}/")
        return ComputeHordeJob.from_answer(self, answer)

    def job(self, job_uuid: str) -> ComputeHordeJob:
        """One of this hotkey's jobs, of which nothing is asked yet: to read its logs."""
        return ComputeHordeJob(self, _plain(job_uuid), [])

    async def get_jobs(self, page: int = 1, page_size: int = PAGE_SIZE) -> list[ComputeHordeJob]:
        """One page of this hotkey's jobs; `ComputeHordeNotFoundError` beyond the last one."""
        return (await self._page(page, page_size))[0]

    async def iter_jobs(self) -> AsyncIterator[ComputeHordeJob]:
        """All of this hotkey's jobs, page by page."""
        page, more = 1, True
        while more:
            jobs, more = await self._page(page, PAGE_SIZE)
            for job in jobs:
                yield job
            page += 1

    async def report_cheated_job(
        self, job_uuid: str, trusted_job_uuid: str, *, details: Any = None
    ) -> str:
        """Tell the validator that a job's miner cheated, as a trusted job of yours shows."""
        from compute_horde_sdk import requests

        request = requests.cheat_report(str(job_uuid), str(trusted_job_uuid), details, self.hotkey)
        answer = await self.facilitator.post("api/v1/cheated-job/", request.body, request.headers)
        return answer.body.decode("utf-8", "replace")

    async def _page(self, page: int, page_size: int) -> tuple[list[ComputeHordeJob], bool]:
        answer = await self.facilitator.get(
            "api/v1/jobs/", params={"page": page, "page_size": page_size}
        )
        told = answer.get("results") if isinstance(answer, dict) else None
        if not isinstance(told, list):
            raise ComputeHordeError("the facilitator's answer is malformed: not a page of jobs")
        jobs = [ComputeHordeJob.from_answer(self, job) for job in told]
        return jobs, answer.get("next") is not None


def _new_identity() -> "Identity":
    # Loaded for streaming jobs only: few need it, and it takes long.
    from compute_horde_sdk import streaming

    return streaming.new_identity()


def _plain(job_uuid: str) -> str:
    """The uuid as one part of a path; what has a slash in it would ask for something else."""
    if not is_uuid(str(job_uuid)):
        raise ValueError(f"{job_uuid!r} is not the uuid of a job")
    return str(job_uuid)


def _left(timeout: float | None, began: float) -> float | None:
    if timeout is None:
        return None
    return max(0.0, timeout - (time.monotonic() - began))
