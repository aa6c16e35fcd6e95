"""Counts the offers that this miner declined, by parties, class and cause."""

from collections import Counter
from typing import NamedTuple

from django.db.models import F
from django.utils import timezone

from compute_horde.concurrency.batch_writer import BatchWriter
from compute_horde.django.database import in_database
from miner.earnings.models import DeclineCount
from miner.jobs.validator_sockets import Parties

# One statement for the declined offers of a batch of jobs.
LINGER_SECONDS = 0.5
ALL = "declines"


class DeclinedOffer(NamedTuple):
    """One declined offer."""

    parties: Parties
    executor_class: str
    cause: str
    with_excuses: bool


class DeclineCounter:
    """Stores how many offers were declined, a moment later."""

    def __init__(self) -> None:
        self._writer: BatchWriter[str, DeclinedOffer] = BatchWriter(
            _write, linger_seconds=LINGER_SECONDS
        )

    def put(self, declined: DeclinedOffer) -> None:
        """Count a declined offer."""
        self._writer.put(ALL, declined)

    async def close(self) -> None:
        """Return when all are stored."""
        await self._writer.close()


async def _write(_key: str, batch: list[DeclinedOffer]) -> None:
    await in_database(store, batch)


def store(batch: list[DeclinedOffer]) -> None:
    """Add declined offers to the counts of this minute."""
    minute = timezone.now().replace(second=0, microsecond=0)
    for declined, count in sorted(Counter(batch).items()):
        DeclineCount.objects.update_or_create(
            minute=minute,
            miner_hotkey=declined.parties.miner,
            validator_hotkey=declined.parties.validator,
            executor_class=declined.executor_class,
            cause=declined.cause,
            with_excuses=declined.with_excuses,
            defaults={"count": F("count") + count},
            create_defaults={"count": count},
        )
