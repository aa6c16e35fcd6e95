"""Stores the metagraph, and lists the serving miners."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from compute_horde.adapters.chain_port import Chain, Metagraph
from compute_horde.addresses import Reach
from compute_horde.django.job_record import notify
from compute_horde.hardware import ExecutorClass
from validator.network import chain_history, change_log, manifest_store
from validator.network.manifest_store import CHANNEL
from validator.network.models import Manifest, Neuron, Snapshot

log = logging.getLogger(__name__)

# Nodes may be behind for a while. If all still are after this time, what was read before was wrong.
BELIEVED_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class ServingMiner:
    """A miner with an address, and its stored manifest."""

    hotkey: str
    host: str
    port: int
    manifest: Mapping[ExecutorClass, int]
    reported_at: datetime | None = field(default=None, compare=False)

    def is_newer_than(self, moment: datetime | None) -> bool:
        """Whether the stored manifest is newer than one reported at `moment`."""
        return moment is None or (self.reported_at is not None and self.reported_at > moment)


def refresh_metagraph(chain: Chain) -> None:
    """Store the metagraph of the chain, and log what changed.

    Notifies the listener when addresses changed. A block before the newest one stored is ignored,
    but not for ever: a node that once told of blocks that do not exist must not stop everything.
    """
    metagraph, hyperparameters = chain.metagraph(), chain.hyperparameters()
    now = timezone.now()
    with transaction.atomic():
        change_log.lock()
        earlier = Snapshot.objects.first()
        is_behind = earlier is not None and earlier.block > metagraph.block
        if earlier and is_behind and now - earlier.taken_at < timedelta(seconds=BELIEVED_SECONDS):
            log.warning(
                "the chain is behind what was read before: the node may be syncing",
                extra={"block": metagraph.block, "read_before": earlier.block},
            )
            return
        _store_present(metagraph, hyperparameters.tempo)
        chain_history.record_hyperparameters(hyperparameters, metagraph.block, now)
        manifest_store.settle(metagraph.block, now)
    moment = (earlier.block, earlier.taken_at) if earlier else None
    chain_history.catch_up(chain, metagraph, now, moment)


def _store_present(metagraph: Metagraph, tempo: int) -> None:
    before = _addresses()
    _store(metagraph)
    Snapshot.objects.create(block=metagraph.block, tempo=tempo, neurons=len(metagraph.neurons))
    if before != _addresses():
        notify(CHANNEL)
        log.info(
            "addresses changed",
            extra={"block": metagraph.block, "neurons": len(metagraph.neurons)},
        )


def latest_snapshot(max_age: timedelta) -> Snapshot | None:
    """The latest snapshot of the chain; None when it is older than `max_age`."""
    return Snapshot.objects.filter(taken_at__gt=timezone.now() - max_age).first()


def serving_miners(validator: str, reach: Reach) -> list[ServingMiner]:
    """The miners that may get jobs: all with an address in `reach`, except this validator."""
    offers: dict[str, dict[ExecutorClass, int]] = {}
    reported_at: dict[str, datetime] = {}
    for row in Manifest.objects.all():
        reported_at[row.hotkey] = max(row.heard_at, reported_at.get(row.hotkey, row.heard_at))
        if kind := ExecutorClass.known(row.executor_class):
            offers.setdefault(row.hotkey, {})[kind] = row.count
    return [
        ServingMiner(hotkey, ip, port, offers.get(hotkey, {}), reported_at.get(hotkey))
        for hotkey, ip, port in sorted(_addresses())
        if hotkey != validator and _may_reach(hotkey, ip, reach)
    ]


def _may_reach(hotkey: str, ip: str, reach: Reach) -> bool:
    """Whether a miner's announced address is public or in an allowed network."""
    try:
        allowed = reach.allows(ip)
    except ValueError:
        allowed = False
    if not allowed:
        log.info("miner has no public address", extra={"miner": hotkey, "address": ip})
    return allowed


def _addresses() -> set[tuple[str, str, int]]:
    serving = Neuron.objects.filter(registered=True, port__gt=0)
    return set(serving.values_list("hotkey", "ip", "port"))


def _store(metagraph: Metagraph) -> None:
    now = timezone.now()
    rows = [
        Neuron(
            hotkey=neuron.hotkey,
            coldkey=neuron.coldkey,
            uid=neuron.uid,
            ip=neuron.ip,
            port=neuron.port,
            stake_rao=neuron.total_stake_rao,
            registered=True,
            seen_at=now,
        )
        for neuron in metagraph.neurons
    ]
    Neuron.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["hotkey"],
        update_fields=["coldkey", "uid", "ip", "port", "stake_rao", "registered", "seen_at"],
    )
    present = [row.hotkey for row in rows]
    Neuron.objects.exclude(hotkey__in=present).filter(registered=True).update(registered=False)
