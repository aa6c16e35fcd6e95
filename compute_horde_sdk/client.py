"""The API client: creates, lists, fetches and cancels jobs, and reports cheating miners."""

import asyncio
import inspect
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

from compute_horde.concurrency.backoff import Backoff
from compute_horde.job_uuid import is_job_uuid
from compute_horde_sdk.config import DEFAULT_FACILITATOR_URL
from compute_horde_sdk.errors import (
    ComputeHordeError,
    ComputeHordeNotFoundError,
    InvalidRequestError,
    attach_job_to_errors,
)
from compute_horde_sdk.job_spec import ComputeHordeJobSpec
from compute_horde_sdk.job_status import ComputeHordeJobStatus
from compute_horde_sdk.jobs import ComputeHordeJob

if TYPE_CHECKING:
    from compute_horde.signing import Signer
    from compute_horde_sdk.facilitator.http import Facilitator
    from compute_horde_sdk.facilitator.job_updates import JobWatcher
    from compute_horde_sdk.facilitator.signed_requests import SignedRequest
    from compute_horde_sdk.streaming_client import Identity

PAGE_SIZE = 10
EXAMPLE_UUID = "1b4e28ba-2fa1-41d2-883f-0016d3cca427"
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 5.0

_FINAL_STATUSES = (ComputeHordeJobStatus.COMPLETED, ComputeHordeJobStatus.CANCELLED)
AttemptCallback = Callable[[ComputeHordeJob], Awaitable[None] | None]


class ComputeHordeClient:
    """Client of one facilitator, for the jobs of one hotkey at one validator.

    `hotkey` is any object with `ss58_address` and `sign(bytes) -> 64 bytes`.
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
        """HTTP client of the facilitator, imported on first use to keep imports fast."""
        if self._facilitator is None:
            from compute_horde_sdk.facilitator.http import Facilitator

            self._facilitator = Facilitator(self.facilitator_url, self.hotkey)
        return self._facilitator

    def watch(self, job_uuid: str) -> "JobWatcher":
        """A watcher that yields the job's status updates."""
        from compute_horde_sdk.facilitator.job_updates import JobWatcher

        return JobWatcher(self.facilitator, job_uuid)

    async def aclose(self) -> None:
        """Close the HTTP connections. Optional in a script that ends anyway."""
        if self._facilitator is not None:
            await self._facilitator.aclose()

    async def authenticate(self) -> None:
        """Log in at the facilitator. Every request does this automatically when needed."""
        await self.facilitator.authenticate()

    async def create_job(
        self,
        job_spec: ComputeHordeJobSpec,
        on_trusted_miner: bool = False,  # noqa: FBT001, FBT002
    ) -> ComputeHordeJob:
        """Sign the spec and submit it. Retries are idempotent: one call creates at most one job."""
        from compute_horde_sdk.facilitator import signed_requests

        identity = _new_identity() if job_spec.streaming else None
        request = signed_requests.job_request(
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
        """Create the job and wait for it; retry with a new job while it does not succeed.

        A cancelled job is not retried. `timeout` is in seconds, for all attempts together;
        `max_attempts` of 0 or less means no limit. `job_attempt_callback`, sync or async, gets the
        job of each attempt. Returns the job of the last attempt, whatever its status.
        """
        began = time.monotonic()
        backoff = Backoff(FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
        attempt = 0
        while True:
            attempt += 1
            job = await self.create_job(job_spec, on_trusted_miner)
            if job_attempt_callback is not None:
                found = job_attempt_callback(job)
                if inspect.isawaitable(found):
                    await found
            await job.wait(_remaining_seconds(timeout, began))
            if job.status in _FINAL_STATUSES or 0 < max_attempts <= attempt:
                return job
            await asyncio.sleep(backoff.take() * random.uniform(1.0, 1.1))

    async def cancel_job(self, job_uuid: str) -> ComputeHordeJob:
        """Ask for the cancellation of one of this hotkey's jobs; safe to repeat.

        Returns the job with its present status. The job ends a moment later; use its `wait` to
        see that. A job that has already ended is unchanged.
        """
        from compute_horde_sdk.facilitator import signed_requests

        uuid = _checked_uuid(job_uuid)
        request = signed_requests.cancel(uuid, self.hotkey)
        with attach_job_to_errors(uuid):
            return await self._send_cancel(uuid, request)

    async def _send_cancel(self, uuid: str, request: "SignedRequest") -> ComputeHordeJob:
        # Cancelling is idempotent, so the request may be retried.
        headers = request.headers | {"Idempotency-Key": str(uuid4())}
        path = f"api/v1/jobs/{uuid}/cancel/"
        try:
            answer = await self.facilitator.post(path, request.body, headers)
        except ComputeHordeNotFoundError as exc:
            if self.facilitator.supports("cancel"):
                raise
            raise ComputeHordeError(
                f"this facilitator cannot cancel jobs; {uuid} ends within its time limits"
            ) from exc
        return ComputeHordeJob.from_answer(self, answer.json())

    async def get_job(self, job_uuid: str) -> ComputeHordeJob:
        """Fetch one of this hotkey's jobs; raises `ComputeHordeNotFoundError` if there is none."""
        uuid = _checked_uuid(job_uuid)
        with attach_job_to_errors(uuid):
            answer = await self.facilitator.get(f"api/v1/jobs/{uuid}/")
            return ComputeHordeJob.from_answer(self, answer)

    def job(self, job_uuid: str) -> ComputeHordeJob:
        """A handle on one of this hotkey's jobs, made without a request; use it to read logs."""
        return ComputeHordeJob(self, _checked_uuid(job_uuid), [])

    async def get_jobs(self, page: int = 1, page_size: int = PAGE_SIZE) -> list[ComputeHordeJob]:
        """One page of this hotkey's jobs; `ComputeHordeNotFoundError` after the last page."""
        return (await self._page(page, page_size))[0]

    async def iter_jobs(self) -> AsyncIterator[ComputeHordeJob]:
        """Yield all of this hotkey's jobs, fetched page by page."""
        page, more = 1, True
        while more:
            jobs, more = await self._page(page, PAGE_SIZE)
            for job in jobs:
                yield job
            page += 1

    async def report_cheated_job(
        self, job_uuid: str, trusted_job_uuid: str, *, details: Any = None
    ) -> str:
        """Report to the validator that the miner of a job cheated.

        `trusted_job_uuid` is your job on a trusted miner that shows it. Returns the answer's text.
        """
        from compute_horde_sdk.facilitator import signed_requests

        request = signed_requests.cheat_report(
            str(job_uuid), str(trusted_job_uuid), details, self.hotkey
        )
        answer = await self.facilitator.post("api/v1/cheated-job/", request.body, request.headers)
        return answer.body.decode("utf-8", "replace")

    async def _page(self, page: int, page_size: int) -> tuple[list[ComputeHordeJob], bool]:
        answer = await self.facilitator.get(
            "api/v1/jobs/", params={"page": page, "page_size": page_size}
        )
        found = answer.get("results") if isinstance(answer, dict) else None
        if not isinstance(found, list):
            raise ComputeHordeError("the facilitator's answer is malformed: not a page of jobs")
        jobs = [job for one in found if (job := self._job_from_list(one)) is not None]
        return jobs, answer.get("next") is not None

    def _job_from_list(self, answer: Any) -> ComputeHordeJob | None:
        """One job of a list, or None, with a notice, when it cannot be parsed."""
        try:
            job = ComputeHordeJob.from_answer(self, answer)
        except ComputeHordeError as exc:
            uuid = answer.get("uuid") if isinstance(answer, dict) else None
            self.facilitator.on_notice(f"job {uuid} is left out of the list: {exc}")
            return None
        if not job.status_history:
            self.facilitator.on_notice(f"job {job.uuid} is left out of the list: no status")
            return None
        return job


def _new_identity() -> "Identity":
    # Imported for streaming jobs only, because the import is slow.
    from compute_horde_sdk import streaming_client

    return streaming_client.new_identity()


def _checked_uuid(job_uuid: str) -> str:
    """The uuid in lower case, as it is signed; raises `InvalidRequestError` if it is none."""
    uuid = str(job_uuid).lower()
    if not is_job_uuid(uuid):
        raise InvalidRequestError(
            f"{job_uuid!r} is not the uuid of a job; that looks like {EXAMPLE_UUID}, and "
            "`compute-horde jobs` lists yours"
        )
    return uuid


def _remaining_seconds(timeout: float | None, began: float) -> float | None:
    if timeout is None:
        return None
    return max(0.0, timeout - (time.monotonic() - began))
