"""Stores what miners report: the newest manifest for placement, the effective one for scoring."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from compute_horde.django.job_record import notify
from compute_horde.hardware import ExecutorClass
from validator.network import change_log, rules
from validator.network.models import Fact, Manifest, ManifestSource, ManifestStatus, Neuron
from validator.network.rules import EffectiveManifest, PendingManifest

CHANNEL = "validator_network"

Reports = Mapping[str, Mapping[ExecutorClass, int]]

_STATE = [
    "answered_at",
    "effective",
    "effective_since",
    "pending",
    "reported_at",
    "counts_from",
]


def store_manifest(
    hotkey: str, manifest: Mapping[ExecutorClass, int], change_interval: timedelta
) -> None:
    """Store the manifest that a miner reported; see `store_manifests`."""
    store_manifests({hotkey: manifest}, change_interval)


def store_manifests(
    reports: Reports, change_interval: timedelta, source: ManifestSource = ManifestSource.MINER
) -> None:
    """Store manifests by hotkey; notify the listener when one differs from the newest before.

    Classes that a manifest no longer lists are deleted. A change counts for scoring
    `change_interval` after the last effective one.
    """
    if not reports:
        return
    now = timezone.now()
    with transaction.atomic():
        # In one order, so that two writers cannot wait for each other.
        _store_statuses(dict(sorted(reports.items())), now, change_interval, source)
        if _store_newest(reports, now, source):
            notify(CHANNEL)


def settle(block: int, now: datetime) -> None:
    """Log the effective manifests of registered miners, as of `block`.

    Pending ones whose time has come become effective here, so up to one read of the chain later.
    Must be called under `change_log.lock`.
    """
    due = ManifestStatus.objects.select_for_update().filter(counts_from__lte=now)
    rows = list(due.order_by("hotkey"))
    for row in rows:
        _set_state(row, rules.settle(_state(row), now))
    _save(rows)
    registered = set(Neuron.objects.filter(registered=True).values_list("hotkey", flat=True))
    effective = ManifestStatus.objects.values_list("hotkey", "effective")
    counts = {
        (hotkey, kind): count
        for hotkey, manifest in effective
        if hotkey in registered and manifest is not None
        for kind, count in manifest.items()
    }
    change_log.record(Fact.Kind.MANIFEST, counts, block, now)


def _store_statuses(
    reports: Reports, now: datetime, change_interval: timedelta, source: ManifestSource
) -> None:
    new = [ManifestStatus(hotkey=hotkey) for hotkey in reports]
    ManifestStatus.objects.bulk_create(new, ignore_conflicts=True)
    rows = ManifestStatus.objects.select_for_update().filter(hotkey__in=list(reports))
    changed = []
    for row in rows.order_by("hotkey"):
        counts = {kind.value: count for kind, count in reports[row.hotkey].items()}
        _set_state(row, rules.report(_state(row), counts, now, change_interval))
        if source == ManifestSource.MINER:
            row.answered_at = now
        changed.append(row)
    _save(changed)


def _save(rows: list[ManifestStatus]) -> None:
    ManifestStatus.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["hotkey"], update_fields=_STATE
    )


def _store_newest(reports: Reports, now: datetime, source: ManifestSource) -> bool:
    """Replace the newest manifests; whether any count changed."""
    mine = Manifest.objects.filter(hotkey__in=list(reports))
    before = {(row.hotkey, row.executor_class): row for row in mine}
    after = {
        (hotkey, kind.value): count
        for hotkey, manifest in reports.items()
        for kind, count in manifest.items()
    }
    gone = [row.pk for key, row in before.items() if key not in after]
    Manifest.objects.filter(pk__in=gone).delete()
    Manifest.objects.bulk_create(
        (
            Manifest(hotkey=hotkey, executor_class=kind, count=count, heard_at=now, source=source)
            for (hotkey, kind), count in sorted(after.items())
        ),
        update_conflicts=True,
        unique_fields=["hotkey", "executor_class"],
        update_fields=["count", "heard_at", "source"],
    )
    return {key: row.count for key, row in before.items()} != after


def _state(row: ManifestStatus) -> EffectiveManifest:
    pending = None
    if row.pending is not None and row.reported_at and row.counts_from:
        pending = PendingManifest(row.pending, row.reported_at, row.counts_from)
    return EffectiveManifest(row.effective, row.effective_since, pending)


def _set_state(row: ManifestStatus, state: EffectiveManifest) -> None:
    row.effective, row.effective_since = state.counts, state.since
    pending = state.pending
    row.pending = None if pending is None else pending.counts
    row.reported_at = None if pending is None else pending.reported_at
    row.counts_from = None if pending is None else pending.counts_from
