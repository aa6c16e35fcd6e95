"""Counts the offers that this miner declined, by parties, class and cause."""

from collections import Counter
from typing import NamedTuple

from django.db import InterfaceError, OperationalError, transaction
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
    """Stores how many offers were declined, a moment later.

    However many there are while the database does not answer, only their counts are in memory.
    What an interruption kept from being stored is stored with the next one.
    """

    def __init__(self) -> None:
        self._counts: Counter[DeclinedOffer] = Counter()
        self._is_queued = False
        self._writer: BatchWriter[str, None] = BatchWriter(
            self._write, linger_seconds=LINGER_SECONDS
        )

    def put(self, declined: DeclinedOffer) -> None:
        """Count a declined offer."""
        self._counts[declined] += 1
        self._queue()

    async def close(self) -> None:
        """Return when all are stored, or could not be once more."""
        if self._counts:
            self._queue()
        await self._writer.close()

    def _queue(self) -> None:
        if not self._is_queued:
            self._is_queued = True
            self._writer.put(ALL, None)

    async def _write(self, _key: str, _batch: list[None]) -> None:
        self._is_queued = False
        counts, self._counts = self._counts, Counter()
        try:
            await in_database(store, counts)
        except (OperationalError, InterfaceError):
            self._counts.update(counts)
            raise


@transaction.atomic
def store(counts: Counter[DeclinedOffer]) -> None:
    """Add declined offers to the counts of this minute, all or none."""
    minute = timezone.now().replace(second=0, microsecond=0)
    for declined, count in sorted(counts.items()):
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
