"""Reserves executors of miners for jobs; jobs that find none free wait in a queue."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from compute_horde.concurrency.backoff import Backoff
from compute_horde.errors import HordeError, RejectionError
from compute_horde.faults import Cause
from compute_horde.hardware import ExecutorClass
from compute_horde.protocol.handshake import TRUSTED_MINER_HOTKEY
from compute_horde.vocabulary import HordeReason, RejectionReason
from validator.routing import rules
from validator.routing.rules import MinerSlots, PlacementRequest

FIRST_BACKOFF_SECONDS = 0.25
MAX_BACKOFF_SECONDS = 4.0
MANIFEST_WAIT_SECONDS = 5.0

SlotKey = tuple[str, ExecutorClass]


@dataclass(frozen=True, slots=True)
class WaitingJob:
    """A job in the queue."""

    placement: PlacementRequest
    slot: asyncio.Future[str]


class Scheduler:
    """Counts the executors of miners and the jobs on them; not thread-safe, for one event loop.

    `reachable` tells whether a miner is connected, `reconnect` asks for a connection attempt now.
    A job that no miner offers executors for waits `manifest_wait_seconds` for new manifests.
    """

    def __init__(
        self,
        reachable: Callable[[str], bool],
        reconnect: Callable[[str], None] = lambda hotkey: None,
        *,
        manifest_wait_seconds: float = MANIFEST_WAIT_SECONDS,
        max_per_class: int = 2**31,
        has_trusted_miner: bool = False,
    ) -> None:
        self._reachable = reachable
        self._reconnect = reconnect
        self._manifest_wait_seconds = manifest_wait_seconds
        self._max_per_class = max_per_class
        self._has_trusted_miner = has_trusted_miner
        self._offers: dict[str, Mapping[ExecutorClass, int]] = {}
        self._busy: Counter[SlotKey] = Counter()
        self._backoffs: dict[SlotKey, Backoff] = {}
        # Until when, in loop time, a busy miner is offered no jobs.
        self._paused_until: dict[SlotKey, float] = {}
        # Until when, in loop time, a miner that returned a false result gets no ordinary jobs.
        self._distrusted_until: dict[str, float] = {}
        self._queue: list[WaitingJob] = []

    def set_distrusted(self, seconds: Mapping[str, float]) -> None:
        """Offer these miners only jobs that name them, for so many seconds from now."""
        now = asyncio.get_running_loop().time()
        self._distrusted_until = {hotkey: now + left for hotkey, left in seconds.items()}

    def set_manifest(self, hotkey: str, manifest: Mapping[ExecutorClass, int]) -> None:
        """Set how many executors a miner offers; at most `max_per_class` of each class count."""
        limit = self._max_per_class
        self._offers[hotkey] = {kind: min(count, limit) for kind, count in manifest.items()}
        self.assign_waiting()

    def remove_miner(self, hotkey: str) -> None:
        """Offer no more jobs to this miner."""
        self._offers.pop(hotkey, None)

    def mark_busy(self, hotkey: str, executor_class: ExecutorClass) -> None:
        """Count a job on this miner, whatever it offers."""
        self._busy[hotkey, executor_class] += 1

    def release(self, hotkey: str, executor_class: ExecutorClass) -> None:
        """Release an executor of this miner, and give it to a waiting job."""
        self._busy[hotkey, executor_class] -= 1
        self.assign_waiting()

    def back_off(self, hotkey: str, executor_class: ExecutorClass) -> None:
        """Offer no jobs to a busy miner for a while; the pause doubles each time."""
        key, loop = (hotkey, executor_class), asyncio.get_running_loop()
        first, longest = FIRST_BACKOFF_SECONDS, MAX_BACKOFF_SECONDS
        pause = self._backoffs.setdefault(key, Backoff(first, longest)).take()
        self._paused_until[key] = loop.time() + pause
        loop.call_later(pause, self.assign_waiting)

    def clear_back_off(self, hotkey: str, executor_class: ExecutorClass) -> None:
        """Reset the backoff: the miner accepted a job."""
        self._backoffs.pop((hotkey, executor_class), None)
        self._paused_until.pop((hotkey, executor_class), None)

    def try_reserve(self, placement: PlacementRequest) -> str | None:
        """Reserve a free executor and return its miner's hotkey; None when there is none."""
        for hotkey in rules.ranked_by_load(placement, self._candidates(placement)):
            self.mark_busy(hotkey, placement.executor_class)
            return hotkey
        return None

    def assign_waiting(self) -> None:
        """Give free executors to waiting jobs, the longest waiting first."""
        for waiting in self._queue:
            if not waiting.slot.done() and (hotkey := self.try_reserve(waiting.placement)):
                waiting.slot.set_result(hotkey)

    async def reserve(self, placement: PlacementRequest, timeout: float) -> str:
        """Reserve an executor, waiting at most `timeout` seconds; return its miner's hotkey.

        Raises:
            RejectionError: no miner offers the class, or all were busy.
            HordeError: all miners of the class are disconnected.
        """
        if hotkey := self.try_reserve(placement):
            return hotkey
        waiting = WaitingJob(placement, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        try:
            await self._wait_for_slot(waiting, timeout)
        except asyncio.CancelledError:
            if waiting.slot.done():
                self.release(waiting.slot.result(), placement.executor_class)
            raise
        finally:
            self._queue.remove(waiting)
        if waiting.slot.done():
            return waiting.slot.result()
        raise self._rejection(placement)

    async def _wait_for_slot(self, waiting: WaitingJob, timeout: float) -> None:
        placement = waiting.placement
        for hotkey in self._offers:
            if placement.allows(hotkey) and not self._reachable(hotkey):
                self._reconnect(hotkey)
        if rules.has_no_candidate(placement, self._candidates(placement)):
            # Manifests may still arrive, but not after miners have declined this job.
            wait = 0.0 if placement.excluded else min(self._manifest_wait_seconds, timeout)
            await asyncio.wait([waiting.slot], timeout=wait)
            timeout -= wait
        if not rules.has_no_candidate(placement, self._candidates(placement)):
            await asyncio.wait([waiting.slot], timeout=max(timeout, 0))

    def _rejection(self, placement: PlacementRequest) -> RejectionError | HordeError:
        candidates, kind = self._candidates(placement), placement.executor_class
        if placement.miner == TRUSTED_MINER_HOTKEY and self._is_trusted_miner_down():
            return HordeError(
                HordeReason.MINER_CONNECTION_FAILED,
                rules.TRUSTED_MINER_DOWN,
                context=Cause.TRUSTED_MINER_DOWN.context,
            )
        if rules.all_unreachable(placement, candidates):
            return HordeError(
                HordeReason.MINER_CONNECTION_FAILED,
                f"No miner that offers {placement.executor_class} could be reached",
                context=Cause.NO_MINER_REACHED.context,
            )
        text = rules.rejection_text(placement, candidates)
        offered = {hotkey for hotkey, one in self._offers.items() if one.get(kind)}
        if text == rules.NO_MINER and offered.intersection(self._distrusted(placement)):
            text = rules.ALL_DISTRUSTED
        return RejectionError(RejectionReason.NO_MINER_FOR_JOB, text)

    def _is_trusted_miner_down(self) -> bool:
        return self._has_trusted_miner and not self._reachable(TRUSTED_MINER_HOTKEY)

    def _distrusted(self, placement: PlacementRequest) -> set[str]:
        """The miners that do not get this job because of false results."""
        now = asyncio.get_running_loop().time()
        found = {hotkey for hotkey, until in self._distrusted_until.items() if now < until}
        return found - {placement.miner}

    def _candidates(self, placement: PlacementRequest) -> list[MinerSlots]:
        now, kind = asyncio.get_running_loop().time(), placement.executor_class
        distrusted = self._distrusted(placement)
        return [
            MinerSlots(
                hotkey,
                offered=manifest.get(kind, 0),
                busy=self._busy[hotkey, kind],
                reachable=self._reachable(hotkey),
                backing_off=now < self._paused_until.get((hotkey, kind), now),
            )
            for hotkey, manifest in self._offers.items()
            if hotkey not in distrusted
        ]
