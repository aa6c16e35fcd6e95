"""Writes transitions of jobs to the database, then reports them to the facilitator."""

import logging
from dataclasses import dataclass
from functools import partial

from django.utils import timezone

from compute_horde.concurrency.batch_writer import BatchWriter
from compute_horde.django.database import in_database, write_until_stored
from compute_horde.errors import ComputeHordeError
from compute_horde.lifecycle import FINAL
from compute_horde.protocol.status import StatusReported
from compute_horde.vocabulary import JobState, Party
from validator.facilitator import status_reports
from validator.facilitator.outbox import Outbox, Status
from validator.jobs import queries, store
from validator.jobs.models import Job, RefusedOffer
from validator.jobs.store import Event, Transition

log = logging.getLogger(__name__)

# Transitions of one job within this time are written together.
LINGER_SECONDS = 0.03
ACKNOWLEDGED_SECONDS = 0.2
REFUSALS_SECONDS = 0.2


class JobTakenOverError(ComputeHordeError):
    """Another listener runs this job, or its row was deleted."""


@dataclass(frozen=True, slots=True)
class RecordEntry:
    """A transition to be written."""

    kind: Job.Kind
    transition: Transition


class JobRecorder:
    """Writes transitions in order, several of one job at once, and then reports their events."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        # Running jobs whose row was not in the expected state.
        self._taken_over: set[str] = set()
        self._writer: BatchWriter[str, RecordEntry] = BatchWriter(
            self._write, linger_seconds=LINGER_SECONDS
        )
        self._refusals: BatchWriter[str, RefusedOffer] = BatchWriter(
            self._write_refusals, linger_seconds=REFUSALS_SECONDS
        )
        self._acknowledgements: BatchWriter[str, str] = BatchWriter(
            self._write_acknowledged, linger_seconds=ACKNOWLEDGED_SECONDS
        )

    def put_refusal(self, uuid: str, miner: str, reason: str) -> None:
        """Write soon that a miner declined a job."""
        self._refusals.put(
            "", RefusedOffer(job_id=uuid, hotkey=miner, reason=reason, declined_at=timezone.now())
        )

    def put(self, kind: Job.Kind, transition: Transition) -> None:
        """Write a transition soon, then report its events to the facilitator."""
        self._writer.put(transition.uuid, RecordEntry(kind, transition))

    async def write_now(self, transition: Transition) -> None:
        """Write now; raises `JobTakenOverError` when the row is not in the expected state."""
        if not await in_database(store.record, transition):
            raise JobTakenOverError(f"job {transition.uuid} is no longer {transition.before}")

    async def flush(self, uuid: str) -> bool:
        """Wait until all transitions of a job are written; False when its row was not ours."""
        await self._writer.flush(uuid)
        return uuid not in self._taken_over

    def forget(self, uuid: str) -> None:
        """Drop what is held of a job, after its last transition."""
        self._taken_over.discard(uuid)

    def report_received(self, uuid: str) -> None:
        """Report that a job was received."""
        self._outbox.add(status_reports.status(uuid, JobState.RECEIVED, None, Party.VALIDATOR))

    def report(self, uuid: str, event: Event) -> None:
        """Report an event that is written."""
        self._outbox.add_stored(_status(uuid, event))

    def report_unwritten(self, uuid: str, event: Event) -> None:
        """Report an event that will not be written."""
        self._outbox.add(_status(uuid, event))

    async def report_all(self, uuid: str) -> None:
        """Report every written status of a job again."""
        for stored in await in_database(queries.stored_statuses, uuid):
            self._outbox.add_stored(stored)

    async def report_unacknowledged(self) -> None:
        """Report the jobs whose end the facilitator did not acknowledge to an earlier process."""
        for uuid in await in_database(queries.unacknowledged):
            await self.report_all(uuid)

    async def miners_of_unacknowledged(self) -> dict[str, str]:
        """The miners of the jobs whose end the facilitator did not acknowledge, by UUID."""
        return await in_database(queries.unacknowledged)

    def mark_acknowledged(self, report: Status) -> None:
        """Store that the facilitator acknowledged a status, when that is a final one."""
        if report.status in FINAL:
            self._acknowledgements.put("", report.uuid)

    async def close(self) -> None:
        """Finish writing."""
        await self._writer.close()
        await self._refusals.close()
        await self._acknowledgements.close()

    async def _write(self, uuid: str, entries: list[RecordEntry]) -> None:
        transition = store.merged([entry.transition for entry in entries])
        written = await write_until_stored(partial(store.record, transition), job=uuid)
        if not written:
            # Written before a connection was lost, or by another listener.
            log.warning(
                "row was not in the expected state", extra={"job": uuid, "state": transition.after}
            )
            self._taken_over.add(uuid)
        if entries[0].kind is not Job.Kind.ORGANIC:
            return
        if not written:
            await self.report_all(uuid)
            return
        for event in transition.events:
            self.report(uuid, event)

    async def _write_refusals(self, key: str, rows: list[RefusedOffer]) -> None:
        await in_database(store.add_refusals, rows)

    async def _write_acknowledged(self, key: str, uuids: list[str]) -> None:
        await in_database(store.mark_acknowledged, uuids)


def _status(uuid: str, event: Event) -> StatusReported:
    return status_reports.status(uuid, event.state, event.message, event.sent_by)
