"""Which miner may be given a job now; jobs that find none wait in order."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from compute_horde.errors import HordeError, RejectionError
from compute_horde.faults import Cause
from compute_horde.hardware import ExecutorClass
from compute_horde.vocabulary import HordeReason, RejectionReason
from validator.jobs import rules
from validator.jobs.rules import Seat, Wish

FIRST_REST_SECONDS = 0.25
LONGEST_REST_SECONDS = 4.0
HOPE_SECONDS = 5.0

Place = tuple[str, ExecutorClass]


@dataclass(frozen=True, slots=True)
class Rest:
    """How long a miner that said it was busy is left alone."""

    pause: float
    until: float


@dataclass(frozen=True, slots=True)
class Waiting:
    """A job in the queue."""

    wish: Wish
    seat: asyncio.Future[str]


class Roster:
    """Miners' executors and who has them. Lives in one event loop, so a look is a reservation."""

    def __init__(
        self,
        reachable: Callable[[str], bool],
        hurry: Callable[[str], None] = lambda hotkey: None,
        *,
        hope_seconds: float = HOPE_SECONDS,
        most_per_class: int = 2**31,
    ) -> None:
        self._reachable = reachable
        self._hurry = hurry
        self._hope_seconds = hope_seconds
        self._most_per_class = most_per_class
        self._offers: dict[str, Mapping[ExecutorClass, int]] = {}
        self._busy: Counter[Place] = Counter()
        self._resting: dict[Place, Rest] = {}
        self._queue: list[Waiting] = []

    def offer(self, hotkey: str, manifest: Mapping[ExecutorClass, int]) -> None:
        """A miner told what it has; however much that is, only so much is believed."""
        most = self._most_per_class
        self._offers[hotkey] = {kind: min(count, most) for kind, count in manifest.items()}
        self.look()

    def forget(self, hotkey: str) -> None:
        """A miner is no longer served."""
        self._offers.pop(hotkey, None)

    def occupy(self, hotkey: str, executor_class: ExecutorClass) -> None:
        """A job sits with this miner, whatever it offers."""
        self._busy[hotkey, executor_class] += 1

    def leave(self, hotkey: str, executor_class: ExecutorClass) -> None:
        """A job is over with this miner; the next in the queue may have its seat."""
        self._busy[hotkey, executor_class] -= 1
        self.look()

    def rest(self, hotkey: str, executor_class: ExecutorClass) -> None:
        """The miner is busy with others; leave it alone, each time a little longer."""
        place, loop = (hotkey, executor_class), asyncio.get_running_loop()
        last = self._resting.get(place)
        pause = min(last.pause * 2, LONGEST_REST_SECONDS) if last else FIRST_REST_SECONDS
        self._resting[place] = Rest(pause, loop.time() + pause)
        loop.call_later(pause, self.look)

    def rested(self, hotkey: str, executor_class: ExecutorClass) -> None:
        """The miner took a job again."""
        self._resting.pop((hotkey, executor_class), None)

    def take(self, wish: Wish) -> str | None:
        """Reserve the best seat there is right now."""
        for hotkey in rules.ranked(wish, self._seats(wish)):
            self.occupy(hotkey, wish.executor_class)
            return hotkey
        return None

    def look(self) -> None:
        """Something changed: give what is free to those who waited longest."""
        for waiting in self._queue:
            if not waiting.seat.done() and (hotkey := self.take(waiting.wish)):
                waiting.seat.set_result(hotkey)

    async def seat(self, wish: Wish, patience: float) -> str:
        """Reserve a seat, waiting for one if need be; raises when there will be none."""
        if hotkey := self.take(wish):
            return hotkey
        waiting = Waiting(wish, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        try:
            await self._wait(waiting, patience)
        except asyncio.CancelledError:
            if waiting.seat.done():
                self.leave(waiting.seat.result(), wish.executor_class)
            raise
        finally:
            self._queue.remove(waiting)
        if waiting.seat.done():
            return waiting.seat.result()
        raise self._why_none(wish)

    async def _wait(self, waiting: Waiting, patience: float) -> None:
        wish = waiting.wish
        for hotkey in self._offers:
            if wish.may_go_to(hotkey) and not self._reachable(hotkey):
                self._hurry(hotkey)
        if rules.hopeless(wish, self._seats(wish)):
            # Miners may be about to tell us what they have, unless we asked them already.
            hope = 0.0 if wish.shunned else min(self._hope_seconds, patience)
            await asyncio.wait([waiting.seat], timeout=hope)
            patience -= hope
        if not rules.hopeless(wish, self._seats(wish)):
            await asyncio.wait([waiting.seat], timeout=max(patience, 0))

    def _why_none(self, wish: Wish) -> RejectionError | HordeError:
        seats = self._seats(wish)
        if rules.out_of_reach(wish, seats):
            return HordeError(
                HordeReason.MINER_CONNECTION_FAILED,
                f"No miner that offers {wish.executor_class} could be reached",
                context=Cause.NO_MINER_REACHED.context,
            )
        return RejectionError(RejectionReason.NO_MINER_FOR_JOB, rules.why_none(wish, seats))

    def _seats(self, wish: Wish) -> list[Seat]:
        now, kind = asyncio.get_running_loop().time(), wish.executor_class
        return [
            Seat(
                hotkey,
                offered=manifest.get(kind, 0),
                busy=self._busy[hotkey, kind],
                reachable=self._reachable(hotkey),
                resting=(rest := self._resting.get((hotkey, kind))) is not None
                and now < rest.until,
            )
            for hotkey, manifest in self._offers.items()
        ]
