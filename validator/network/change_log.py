"""Writes the change log of the network: facts when they change, and which blocks were observed."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Max
from django.utils import timezone

from compute_horde.django.eviction import delete_in_batches
from validator.network import rules
from validator.network.models import Fact, ManifestStatus, Neuron, ObservedBlocks, Snapshot

Key = tuple[str, str]

_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('network change log', 0))"


def lock() -> None:
    """Wait until no other process writes the log; released at the end of the transaction."""
    with connection.cursor() as cursor:
        cursor.execute(_LOCK)


def record(kind: Fact.Kind, values: Mapping[Key, Any], block: int, at: datetime) -> int:
    """Log that from `block` on exactly these values hold, by subject and item; count the changes.

    Must be called under `lock`, with blocks that never go back for a kind. A second call for the
    same block replaces what the first one logged.
    """
    after = {key: json.loads(json.dumps(value, default=str)) for key, value in values.items()}
    rows = Fact.objects.filter(kind=kind, until_block=None)
    held = {(row.subject, row.item): row for row in rows}
    kept = {key for key, row in held.items() if key in after and row.value == after[key]}
    ended = Fact.objects.filter(pk__in=[row.pk for key, row in held.items() if key not in kept])
    ended.filter(from_block__gte=block).delete()
    ended.update(until_block=block, ended_at=at)
    Fact.objects.bulk_create(
        Fact(kind=kind, subject=key[0], item=key[1], value=value, from_block=block, began_at=at)
        for key, value in after.items()
        if key not in kept
    )
    return len((held.keys() | after.keys()) - kept)


def present(kind: Fact.Kind) -> dict[Key, Any]:
    """The values that hold now, by subject and item."""
    rows = Fact.objects.filter(kind=kind, until_block=None)
    columns = rows.values_list("subject", "item", "value")
    return {(subject, item): value for subject, item, value in columns}


def last_observed(stream: ObservedBlocks.Stream) -> ObservedBlocks | None:
    """The newest run of observed blocks."""
    return ObservedBlocks.objects.filter(stream=stream).first()


def mark_observed(
    stream: ObservedBlocks.Stream, block: int, at: datetime, run: ObservedBlocks | None
) -> None:
    """Continue `run` up to `block`, or begin a new run there when it is None."""
    if run is None:
        ObservedBlocks.objects.create(
            stream=stream, first_block=block, last_block=block, last_at=at
        )
    else:
        ObservedBlocks.objects.filter(pk=run.pk).update(last_block=block, last_at=at)


def evict(keep: timedelta) -> int:
    """Delete facts that ended longer ago than `keep`, at least three cycles; count them.

    A fact that holds now is never deleted. Blocks before are no longer called observed.
    """
    newest = Snapshot.objects.aggregate(block=Max("block"))["block"]
    if newest is None:
        return 0
    before = newest - rules.kept_blocks(keep)
    deleted = delete_in_batches(Fact.objects.filter(until_block__lte=before))
    observed = ObservedBlocks.objects.filter(first_block__lt=before)
    observed.filter(last_block__lt=before).delete()
    observed.update(first_block=before)
    registered = Neuron.objects.filter(registered=True).values("hotkey")
    left = ManifestStatus.objects.exclude(hotkey__in=registered)
    left.exclude(answered_at__gte=timezone.now() - keep).delete()
    return deleted
