"""Reads a page of a miner to its present end: fetches, verifies and stores its lines."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum, auto

from validator.receipts import pages
from validator.receipts.page_client import PageClient, address_of
from validator.receipts.pages import (
    MAX_RESTARTS,
    PagePart,
    TransferError,
    TransferProblem,
)
from validator.receipts.quota import ReceiptQuota
from validator.receipts.recorder import TransferRecorder
from validator.receipts.store import Checkpoint, PageProgress
from validator.receipts.verification import Expected
from validator.receipts.verifier import Verifier


@dataclass(frozen=True, slots=True)
class PageSource:
    """A miner and where it publishes its pages."""

    hotkey: str
    host: str
    port: int

    @property
    def address(self) -> str:
        """Where checkpoints of its pages belong."""
        return address_of(self.host, self.port)


@dataclass
class PagePosition:
    """How far a page of a miner was read; `given_up` says why no more of it is."""

    number: int
    offset: int = 0
    given_up: str = ""
    restarts: int = 0
    # The UNIX time at which it was last read to its end; 0 before.
    complete_at: float = 0.0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def is_over(self) -> bool:
        """Whether there is nothing more to be read of it, ever."""
        return bool(self.given_up) or pages.is_settled(self.number, self.complete_at)

    def restart(self) -> None:
        """Read it again from its beginning, since it is not the same as before."""
        self.offset, self.restarts = 0, self.restarts + 1
        if self.restarts > MAX_RESTARTS:
            raise TransferError(TransferProblem.REWRITTEN)


class ReadOutcome(Enum):
    """What there is to do after a part of a page was taken."""

    MORE = auto()
    AT_END = auto()
    MOSTLY_BAD = auto()


@dataclass
class Acceptance:
    """Which receipts are stored: of these validators, not older than `keep`, and not too many."""

    keep: timedelta
    validators: frozenset[str] = frozenset()
    quota: ReceiptQuota = field(default_factory=ReceiptQuota)

    def expected(self, miner: str, seconds: float) -> Expected:
        """What receipts in the pages of a miner must be at a UNIX time."""
        now = datetime.fromtimestamp(seconds, UTC)
        return Expected(miner, self.validators, now, now - self.keep)


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """The timeout of each request, and the slots that requests share."""

    timeout_seconds: float
    slots: asyncio.Semaphore


class MinerPageReader:
    """Reads pages; `now` is the present UNIX time."""

    def __init__(
        self,
        acceptance: Acceptance,
        verifier: Verifier,
        recorder: TransferRecorder,
        now: Callable[[], float],
    ) -> None:
        self._acceptance = acceptance
        self._verifier = verifier
        self._recorder = recorder
        self._now = now

    async def read(
        self, miner: str, client: PageClient, page: PagePosition, limits: ReadLimits
    ) -> bool:
        """Read a page of a miner to its present end; False when most lines are no receipts.

        Between two requests, others get the slot. Raises `TransferError`; what was read before is
        stored.
        """
        async with page.lock:
            while not page.given_up:
                began = self._now()
                try:
                    part = await self._fetch(miner, client, page, limits)
                    progress = await self._take(miner, client.address, page, part)
                except TransferError as exc:
                    if exc.problem in pages.FINAL_PROBLEMS:
                        await self._give_up(miner, client.address, page, exc.problem)
                    raise
                if progress is ReadOutcome.AT_END:
                    page.complete_at = began
                if progress is not ReadOutcome.MORE:
                    return progress is ReadOutcome.AT_END
        return True

    async def _fetch(
        self, miner: str, client: PageClient, page: PagePosition, limits: ReadLimits
    ) -> PagePart:
        async with limits.slots:
            began = time.monotonic()
            part = await client.fetch(page.number, page.offset, limits.timeout_seconds)
            took = time.monotonic() - began
        self._recorder.fetched(miner, client.address, page.number, took)
        return part

    async def _take(
        self, miner: str, address: str, page: PagePosition, part: PagePart
    ) -> ReadOutcome:
        """Verify and store the complete lines of a part. Raises `TransferError`."""
        if part.length is not None and part.length < page.offset:
            page.restart()
            return ReadOutcome.MORE
        lines = pages.complete_lines(part.body)
        if lines:
            expected = self._acceptance.expected(miner, self._now())
            verified = await self._verifier.verify(lines, expected)
            if page.offset and verified.begins_amid_line:
                page.restart()
                return ReadOutcome.MORE
            self._acceptance.quota.limit(miner, verified, expected.not_before)
            checkpoint = Checkpoint(miner, address, page.number, page.offset + len(lines))
            await self._recorder.store(PageProgress(checkpoint, verified.receipts))
            page.offset = checkpoint.offset
            self._recorder.verified(miner, len(verified.receipts), verified.problems)
            if verified.is_mostly_bad:
                return ReadOutcome.MOSTLY_BAD
        return _after(part, len(lines), page.offset)

    async def _give_up(
        self, miner: str, address: str, page: PagePosition, problem: TransferProblem
    ) -> None:
        page.given_up = str(problem)
        checkpoint = Checkpoint(miner, address, page.number, page.offset, page.given_up)
        await self._recorder.store(PageProgress(checkpoint))


def _after(part: PagePart, taken: int, offset: int) -> ReadOutcome:
    """What there is to do after `taken` bytes of a part of a page, which end at `offset`.

    Raises `TransferError`.
    """
    if offset > pages.MAX_PAGE_BYTES:
        raise TransferError(TransferProblem.PAGE_TOO_LONG)
    if part.timed_out:
        raise TransferError(TransferProblem.TIMED_OUT)
    if part.is_complete and part.body.find(b"\n", taken) < 0:
        return ReadOutcome.AT_END
    if not taken:
        raise TransferError(TransferProblem.CONNECTION_LOST)
    return ReadOutcome.MORE
