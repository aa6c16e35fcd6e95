"""Where jobs are taken, and taken up again after a restart; what is asked about them."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any
from uuid import UUID

from compute_horde.django.database import in_database
from compute_horde.errors import BadSignature, RejectionError
from compute_horde.lifecycle import FINAL
from compute_horde.protocol.extensions import CancelRequested, check_cancel
from compute_horde.protocol.handshake import TRUSTED_MINER_HOTKEY
from compute_horde.protocol.job import JobRequested
from compute_horde.protocol.message import JobMessage
from validator.jobs import actions, ledger, queries, rules
from validator.jobs.conductor import Conductor, Offer, Terms, now, receipts_of
from validator.jobs.conversation import say_if_there
from validator.jobs.diary import Diary
from validator.jobs.lines import MinerLine
from validator.jobs.live import LiveJob
from validator.jobs.models import Job
from validator.jobs.roster import Roster

log = logging.getLogger(__name__)

# A user who is quick may want a job ended while it is still being stored.
LOOKS = 6
FIRST_LOOK_SECONDS = 0.05
REMEMBERED = 4096
# A miner that talks and talks of jobs that are over is not answered each time.
REMINDERS_AT_ONCE = 64


class Desk:
    """Every organic and admin job of this validator, one task each."""

    def __init__(
        self,
        terms: Terms,
        roster: Roster,
        line: Callable[[str], MinerLine | None],
        diary: Diary,
    ) -> None:
        self._terms = terms
        self._roster = roster
        self._diary = diary
        self._conductor = Conductor(terms, roster, line, diary)
        self._live: dict[str, LiveJob] = {}
        # Jobs that ended here lately: a row that was read before that is not taken up again.
        self._over: dict[str, None] = {}
        self._reminding: set[tuple[str, str]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._signers = terms.signers

    async def take(self, request: JobRequested) -> None:
        """A user's job from the facilitator: check, store, report, conduct."""
        if request.uuid in self._live:
            await self._diary.tell_again(request.uuid)
            return
        wanted = TRUSTED_MINER_HOTKEY if request.on_trusted_miner else ""
        job = LiveJob(request, Job.Kind.ORGANIC, wanted)
        try:
            await self._check(request)
        except RejectionError as exc:
            await self._refuse(job, exc)
            return
        if request.uuid in self._live:
            return
        self._live[job.uuid] = job
        offer = self._conductor.offer_now(job)
        assert request.signature  # noqa: S101
        row = job.row(rules.request_digest(request.signature))
        new = False
        try:
            new = await in_database(ledger.insert, row, job.move(receipts=receipts_of(offer)))
        finally:
            if not new:
                self._live.pop(job.uuid, None)
                if offer:
                    self._roster.leave(offer.deal.miner, request.executor_class)
        if new:
            self._diary.received(job.uuid)
            self.start(self._conduct(job, offer))
        else:
            await self._known(job)

    async def cancel(self, asked: CancelRequested) -> None:
        """A user wants a job ended: remember that, whatever happens to us, then do it."""
        row = await _found(asked.job_uuid)
        if row is None:
            log.info("unknown job not cancelled", extra={"job": asked.job_uuid})
            return
        try:
            check_cancel(asked, row.signatory)
        except BadSignature as exc:
            log.warning("job not cancelled", extra={"job": asked.job_uuid, "problem": str(exc)})
            return
        if not await in_database(actions.cancel, asked.job_uuid):
            await self._diary.tell_again(asked.job_uuid)
        await self.heed_cancels()

    async def heed_cancels(self) -> None:
        """End the jobs that somebody wants ended."""
        for uuid, at in await in_database(queries.cancels, list(self._live)):
            if job := self._live.get(uuid):
                job.cancel(at)

    async def unclaimed(self) -> list[Job]:
        """Unfinished jobs in the database that nobody here conducts; also learn whom we serve."""
        self._signers = self._terms.signers | await in_database(queries.allowed_signers)
        return await in_database(queries.unfinished, list(self._live))

    def adopt(self, rows: list[Job]) -> None:
        """Conduct these."""
        for row in rows:
            self._adopt(row)

    def miner_of(self, uuid: str) -> str | None:
        """Who has a user's job that goes on; empty when nobody has it yet."""
        job = self._live.get(uuid)
        return job.miner if job and job.kind is Job.Kind.ORGANIC else None

    async def close(self) -> None:
        """Stop conducting; the rows tell the next process how to go on."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._diary.close()

    def heard_stray(self, line: MinerLine, message: JobMessage) -> None:
        """A miner goes on about a job that is over: it missed our last word."""
        about = line.address.hotkey, message.job_uuid
        if about not in self._reminding and len(self._reminding) < REMINDERS_AT_ONCE:
            self._reminding.add(about)
            self.start(self._remind(line, *about))

    async def _remind(self, line: MinerLine, hotkey: str, uuid: str) -> None:
        try:
            if uuid in self._live or not _is_uuid(uuid):
                return
            if receipt := await in_database(queries.finished_receipt, uuid, hotkey):
                await say_if_there(line, receipt)
        finally:
            self._reminding.discard((hotkey, uuid))

    async def _check(self, request: JobRequested) -> None:
        signatory = request.signature.signatory if request.signature else ""
        if signatory not in self._signers:
            stored = await in_database(queries.allowed_signers)
            self._signers = self._terms.signers | stored
        rules.check_request(
            request, allowed=self._signers, now=now(), max_age=self._terms.max_request_age
        )
        rules.check_streaming(request, self._terms.streaming_images)

    async def _refuse(self, job: LiveJob, refusal: RejectionError) -> None:
        log.info("job refused", extra={"job": job.uuid, "reason": str(refusal)})
        fact = job.ending(refusal)
        stored = await in_database(ledger.insert, job.row(None), job.move(fact))
        if stored:
            self._diary.tell(job.uuid, fact)
        else:
            await self._diary.tell_again(job.uuid)

    async def _known(self, job: LiveJob) -> None:
        """The facilitator sent a job again, or somebody replays a signature."""
        row = await in_database(queries.job, job.uuid)
        if row is None:
            await self._refuse(job, rules.replayed())
            return
        await self._diary.tell_again(job.uuid)
        if not row.is_final:
            self._adopt(row)

    def _adopt(self, row: Job) -> None:
        if str(row.uuid) in self._live or str(row.uuid) in self._over:
            return
        job = LiveJob.of(row)
        self._live[job.uuid] = job
        offer = None
        if job.miner:
            log.info("job resumed", extra={"job": job.uuid, "state": job.state})
            offer = self._conductor.resumed(job)
        self.start(self._conduct(job, offer))

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Do this beside everything else; what goes wrong is logged and disturbs nobody."""
        task = asyncio.create_task(_guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _conduct(self, job: LiveJob, offer: Offer | None) -> None:
        await self._conductor.conduct(job, offer)
        if job.state in FINAL:
            self._over[job.uuid] = None
            if len(self._over) > REMEMBERED:
                del self._over[next(iter(self._over))]
        self._live.pop(job.uuid, None)


async def _guarded(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except Exception:
        log.exception("work of the listener failed")


async def _found(uuid: str) -> Job | None:
    for look in range(LOOKS):
        if row := await in_database(queries.job, uuid):
            return row
        await asyncio.sleep(FIRST_LOOK_SECONDS * 2**look)
    return None


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
