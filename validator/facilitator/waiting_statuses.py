"""Statuses waiting to be sent: in memory up to a byte budget, else in the database."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from compute_horde.concurrency.byte_budget import ByteBudget, memory_of
from compute_horde.protocol.message import REPORT_FRAME_BYTES
from compute_horde.protocol.status import StatusReported
from compute_horde.vocabulary import JobState

log = logging.getLogger(__name__)

JOB_BYTES = 2 * REPORT_FRAME_BYTES
ALL_BYTES = 8 * REPORT_FRAME_BYTES


@dataclass(frozen=True, slots=True)
class Stored:
    """The key of a status in the database."""

    uuid: str
    status: JobState


Read = Callable[[Stored], Awaitable[StatusReported | None]]


async def _read_nothing(_stored: Stored) -> StatusReported | None:
    return None


@dataclass(slots=True)
class _JobStatuses:
    budget: ByteBudget
    held: dict[JobState, tuple[StatusReported, int]] = field(default_factory=dict)


class WaitingStatuses:
    """Caches stored statuses by job; over the budget, those of the largest job are dropped.

    Dropped statuses are read from the database again when they are needed.
    """

    def __init__(
        self, read: Read = _read_nothing, job_bytes: int = JOB_BYTES, all_bytes: int = ALL_BYTES
    ) -> None:
        self._read = read
        self._job_bytes = job_bytes
        self.budget = ByteBudget(all_bytes)
        self._jobs: dict[str, _JobStatuses] = {}

    def hold(self, report: StatusReported) -> Stored:
        """Cache a status that is in the database, if there is room; return its key for `get`."""
        stored = Stored(report.uuid, report.status)
        job = self._jobs.get(report.uuid)
        if job is None:
            job = self._jobs[report.uuid] = _JobStatuses(
                self.budget.part(self._job_bytes, drop=lambda: self._drop(report.uuid))
            )
        if report.status not in job.held:
            size = memory_of(report)
            job.held[report.status] = report, size
            job.budget.add(size)
        return stored

    async def get(self, stored: Stored) -> StatusReported | None:
        """The status; None when it is not in the database any more."""
        job = self._jobs.get(stored.uuid)
        if job and stored.status in job.held:
            return job.held[stored.status][0]
        report = await self._read(stored)
        if report is None:
            extra = {"job": stored.uuid, "status": str(stored.status)}
            log.warning("status is no longer in the database and is not sent", extra=extra)
        return report

    def release(self, stored: Stored) -> None:
        """Drop a status from the cache."""
        job = self._jobs.get(stored.uuid)
        if job and stored.status in job.held:
            _, size = job.held.pop(stored.status)
            job.budget.remove(size)
            if not job.held:
                del self._jobs[stored.uuid]

    def _drop(self, uuid: str) -> None:
        del self._jobs[uuid]
