"""When blocks came, by what was read of the chain, and when others will come, by the usual pace."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from compute_horde.cycles import Cycle, cycle_at
from validator.network.models import Snapshot
from validator.network.rules import BLOCK_SECONDS

# The pace of the chain is taken from about this time.
PACE_MINUTES = 10


@dataclass(frozen=True, slots=True)
class BlockClock:
    """The newest block that was read, when, and how long a block takes.

    `is_known` is False while nothing was read of the chain: then no time can be told.
    """

    block: int = 0
    at: datetime | None = None
    tempo: int = 0
    block_seconds: float = BLOCK_SECONDS

    @property
    def is_known(self) -> bool:
        """Whether the chain was ever read."""
        return self.at is not None

    def when(self, block: int) -> datetime | None:
        """The estimated time of a block to come, or one not long ago."""
        if self.at is None:
            return None
        return self.at + timedelta(seconds=self.block_seconds * (block - self.block))

    def text(self, block: int) -> str:
        """A block with its estimated time, as `block 7, about 14:05 UTC`."""
        moment = self.when(block)
        return f"block {block}" + (f", about {moment:%Y-%m-%d %H:%M} UTC" if moment else "")

    def cycle(self, block: int, netuid: int) -> Cycle:
        """The cycle that contains `block`, with the present tempo."""
        return cycle_at(block, netuid=netuid, tempo=self.tempo)


def read_clock() -> BlockClock:
    """The clock by the newest snapshot and one some minutes older."""
    newest = Snapshot.objects.first()
    if newest is None:
        return BlockClock()
    before = newest.taken_at - timedelta(minutes=PACE_MINUTES)
    earlier = Snapshot.objects.filter(taken_at__lt=before).order_by("-taken_at").first()
    pace = BLOCK_SECONDS
    if earlier and earlier.block < newest.block:
        passed = (newest.taken_at - earlier.taken_at) / timedelta(seconds=1)
        pace = passed / (newest.block - earlier.block)
    return BlockClock(newest.block, newest.taken_at, newest.tempo, pace)
