"""Writing what happened to jobs, and only then telling the facilitator."""

import asyncio
import logging
from dataclasses import dataclass

from django.db import InterfaceError, OperationalError

from compute_horde.django.database import in_database
from compute_horde.django.scribe import Scribe
from compute_horde.errors import ComputeHordeError
from compute_horde.lifecycle import FINAL
from compute_horde.protocol.status import StatusReported
from compute_horde.vocabulary import JobState, Party
from validator.jobs import ledger, queries, reports
from validator.jobs.ledger import Fact, Move
from validator.jobs.models import Job
from validator.jobs.outbox import Outbox

log = logging.getLogger(__name__)

# States on the way may wait for the next one; the end of a job hurries what waits.
COMPANY_SECONDS = 0.03
ACKNOWLEDGED_SECONDS = 0.2


class NotOursError(ComputeHordeError):
    """Another listener conducts this job, or its row is gone."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A move of a job, to be written."""

    kind: Job.Kind
    move: Move


class Diary:
    """Facts in the order heard; a burst costs one write."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        # Jobs under way whose row was not where we left it.
        self._elsewhere: set[str] = set()
        self._scribe: Scribe[str, Entry] = Scribe(self._write, linger_seconds=COMPANY_SECONDS)
        self._acknowledged: Scribe[str, str] = Scribe(
            self._remember, linger_seconds=ACKNOWLEDGED_SECONDS
        )

    def hear(self, kind: Job.Kind, move: Move) -> None:
        """Write this soon, then tell."""
        self._scribe.hear(move.uuid, Entry(kind, move))

    async def written(self, move: Move) -> None:
        """Write this before anything else happens; `NotOursError` when the row is elsewhere."""
        if not await in_database(ledger.record, move):
            raise NotOursError(f"job {move.uuid} is no longer {move.before}")

    async def settled(self, uuid: str) -> bool:
        """Return when all that was heard of a job is written; whether we were its writer."""
        await self._scribe.settled(uuid)
        return uuid not in self._elsewhere

    def over(self, uuid: str) -> None:
        """Nothing more will be heard of a job."""
        self._elsewhere.discard(uuid)

    def received(self, uuid: str) -> None:
        """A job was taken."""
        self._outbox.add(reports.status(uuid, JobState.RECEIVED, None, Party.VALIDATOR))

    def tell(self, uuid: str, fact: Fact) -> None:
        """One fact that is written."""
        self._outbox.add(reports.status(uuid, fact.state, fact.message, fact.said_by))

    async def tell_again(self, uuid: str) -> None:
        """All that is written of a job."""
        for report in await in_database(queries.statuses, uuid):
            self._outbox.add(report)

    async def tell_untold(self) -> None:
        """What an earlier process may not have told."""
        for uuid in await in_database(queries.untold):
            await self.tell_again(uuid)

    async def miners_of_untold(self) -> dict[str, str]:
        """Who had the jobs that an earlier process may not have told all of."""
        return await in_database(queries.untold)

    def acknowledged(self, report: StatusReported) -> None:
        """The facilitator knows this; remembered once the job is over."""
        if report.status in FINAL:
            self._acknowledged.hear("", report.uuid)

    async def close(self) -> None:
        """Finish writing."""
        await self._scribe.close()
        await self._acknowledged.close()

    async def _write(self, uuid: str, entries: list[Entry]) -> None:
        move = ledger.merged([entry.move for entry in entries])
        while True:
            try:
                written = await in_database(ledger.record, move)
                break
            except (OperationalError, InterfaceError):
                log.error("database still lost", extra={"job": uuid})
                await asyncio.sleep(1)
        if not written:
            # Perhaps it was written before the connection was lost; perhaps somebody else wrote.
            log.warning("row was elsewhere", extra={"job": uuid, "state": move.after})
            self._elsewhere.add(uuid)
        if entries[0].kind is not Job.Kind.ORGANIC:
            return
        if not written:
            await self.tell_again(uuid)
            return
        for fact in move.facts:
            self.tell(uuid, fact)

    async def _remember(self, key: str, uuids: list[str]) -> None:
        await in_database(ledger.acknowledged, uuids)
