"""Rules of placement: which miners may get a job, in which order, and why none did."""

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from compute_horde.hardware import ExecutorClass
from compute_horde.protocol.handshake import TRUSTED_MINER_HOTKEY

NO_MINER = "No miner offers this executor class"
ALL_DISTRUSTED = "All miners that offer this executor class returned false results lately"
ALL_BUSY = "All miners are busy"
NO_TRUSTED_MINER = "This validator has no trusted miner"
NOT_ON_TRUSTED_MINER = "The validator's trusted miner does not offer this executor class"
TRUSTED_MINER_DOWN = "The validator's trusted miner cannot be reached"


@dataclass(frozen=True, slots=True)
class PlacementRequest:
    """Which miners may get a job; `miner` is empty when any may."""

    job_uuid: str
    executor_class: ExecutorClass
    miner: str = ""
    excluded: frozenset[str] = frozenset()

    def excluding(self, miners: Collection[str]) -> "PlacementRequest":
        """The same request, with these miners excluded too."""
        return replace(self, excluded=self.excluded | frozenset(miners))

    def allows(self, hotkey: str) -> bool:
        """Whether this miner may get the job."""
        if hotkey in self.excluded:
            return False
        # The trusted miner only gets jobs that ask for it.
        return hotkey == self.miner if self.miner else hotkey != TRUSTED_MINER_HOTKEY


@dataclass(frozen=True, slots=True)
class MinerSlots:
    """One miner's executors of one class: offered, and in use by this validator."""

    hotkey: str
    offered: int
    busy: int
    reachable: bool = True
    backing_off: bool = False

    @property
    def free(self) -> bool:
        """Whether a job may be offered now; a miner that was busy is backed off for a while."""
        return self.reachable and not self.backing_off and self.busy < self.offered


def ranked_by_load(placement: PlacementRequest, candidates: Iterable[MinerSlots]) -> list[str]:
    """Miners with a free executor: least busy share first, ties in an order that varies by job."""
    free = [slots for slots in candidates if slots.free and placement.allows(slots.hotkey)]
    free.sort(
        key=lambda slots: (
            slots.busy / slots.offered,
            _tie_breaker(placement.job_uuid, slots.hotkey),
        )
    )
    return [slots.hotkey for slots in free]


def _tie_breaker(job_uuid: str, hotkey: str) -> bytes:
    """Pseudo-random order of miners, stable for one job."""
    return hashlib.sha256(f"{job_uuid}:{hotkey}".encode()).digest()


def has_no_candidate(placement: PlacementRequest, candidates: Collection[MinerSlots]) -> bool:
    """Whether no miner known now that may get the job offers its class."""
    return not any(slots.offered and placement.allows(slots.hotkey) for slots in candidates)


def all_unreachable(placement: PlacementRequest, candidates: Collection[MinerSlots]) -> bool:
    """Whether every miner that may take the job is disconnected."""
    serving = [slots for slots in candidates if slots.offered and placement.allows(slots.hotkey)]
    return bool(serving) and not any(slots.reachable for slots in serving)


def rejection_text(placement: PlacementRequest, candidates: Collection[MinerSlots]) -> str:
    """The message for the user of a job that no miner took."""
    if not has_no_candidate(placement, candidates):
        return ALL_BUSY
    if placement.miner != TRUSTED_MINER_HOTKEY:
        return NO_MINER
    known = any(slots.hotkey == TRUSTED_MINER_HOTKEY for slots in candidates)
    return NOT_ON_TRUSTED_MINER if known else NO_TRUSTED_MINER
