"""Reads the change log: the network as it was at any block, and what changed when."""

from collections.abc import Collection

from django.contrib.postgres.fields import BigIntegerRangeField
from django.db.backends.postgresql.psycopg_any import NumericRange
from django.db.models import Func, QuerySet

from validator.network.models import Fact, ObservedBlocks
from validator.network.network_state import (
    Change,
    History,
    LoggedFact,
    NetworkState,
    changes_of,
)
from validator.network.rules import STRIDE

_COLUMNS = (
    "kind",
    "subject",
    "item",
    "value",
    "from_block",
    "until_block",
    "began_at",
    "ended_at",
)
# The expression of the index `fact_by_blocks`.
_BLOCKS = Func(
    "from_block", "until_block", function="int8range", output_field=BigIntegerRangeField()
)


def network_at(block: int) -> NetworkState:
    """The network at `block`, as far as this validator observed it."""
    return between(block, block + 1).at(block)


def between(first: int, stop: int) -> History:
    """The log for blocks from `first` up to, not including, `stop`, read at once.

    For many blocks this is much cheaper than one query for each.
    """
    held = Fact.objects.alias(blocks=_BLOCKS).filter(blocks__overlap=NumericRange(first, stop))
    return History(
        first,
        stop,
        _logged(held.order_by("from_block", "id")),
        # What was read in a block of the grid holds until the next one.
        _runs(ObservedBlocks.Stream.CHAIN, first, stop, holds=STRIDE),
        _runs(ObservedBlocks.Stream.MANIFESTS, first, stop, holds=1),
    )


def chain_known_until() -> int:
    """The first block whose neurons and stakes are not logged yet; 0 when none are."""
    runs = ObservedBlocks.objects.filter(stream=ObservedBlocks.Stream.CHAIN)
    last = runs.order_by("-last_block").values_list("last_block", flat=True).first()
    return 0 if last is None else last + STRIDE


def validators_between(first: int, stop: int) -> History:
    """As `between`, of neurons with a validator permit in any of these blocks, and their stakes.

    Neither manifests and addresses nor the runs of observed blocks are read.
    """
    held = Fact.objects.alias(blocks=_BLOCKS).filter(blocks__overlap=NumericRange(first, stop))
    permitted = held.filter(kind=Fact.Kind.NEURON, value__permit=True).values("subject")
    facts = held.filter(kind__in=(Fact.Kind.NEURON, Fact.Kind.STAKE), subject__in=permitted)
    return History(first, stop, _logged(facts.order_by("from_block", "id")))


def manifest_between(hotkey: str, item: str, first: int, stop: int) -> History:
    """As `between`, of one miner's manifests of one class only."""
    facts = Fact.objects.filter(
        subject=hotkey, kind=Fact.Kind.MANIFEST, item=item, from_block__lt=stop
    ).exclude(until_block__lte=first)
    return History(first, stop, _logged(facts.order_by("from_block", "id")))


def changes(
    hotkey: str, since: int, until: int | None = None, *, kinds: Collection[str] = Fact.Kind.values
) -> list[Change]:
    """What changed for a hotkey in blocks from `since` up to, not including, `until` if given."""
    facts = Fact.objects.filter(subject=hotkey, kind__in=kinds).exclude(until_block__lt=since)
    if until is not None:
        facts = facts.filter(from_block__lt=until)
    return changes_of(_logged(facts.order_by("from_block")), since, until)


def latest_changes(hotkey: str, limit: int, *, kinds: Collection[str]) -> list[Change]:
    """The newest changes of these kinds for a hotkey, newest first; at most `limit` of them."""
    begins = Fact.objects.filter(subject=hotkey, kind__in=kinds).order_by("-from_block")
    oldest = begins.values_list("from_block", flat=True)[:limit]
    return changes(hotkey, min(oldest, default=0), kinds=kinds)[: -limit - 1 : -1]


def _logged(facts: QuerySet[Fact]) -> tuple[LoggedFact, ...]:
    return tuple(LoggedFact(*row) for row in facts.values_list(*_COLUMNS))


def _runs(
    stream: ObservedBlocks.Stream, first: int, stop: int, holds: int
) -> tuple[tuple[int, int], ...]:
    runs = ObservedBlocks.objects.filter(
        stream=stream, first_block__lt=stop, last_block__gt=first - holds
    )
    return tuple((run.first_block, run.last_block + holds - 1) for run in runs)
