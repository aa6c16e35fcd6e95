"""Stores the metagraph and the manifests of miners, and lists the serving miners."""

import asyncio
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
from compute_horde.signing import Signer
from validator.miners import manifest_poll
from validator.miners.connection import Address
from validator.network.models import Manifest, Neuron, Snapshot

log = logging.getLogger(__name__)

CHANNEL = "validator_network"


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
    """Store the metagraph of the chain; notify the listener when addresses changed."""
    metagraph, tempo = chain.metagraph(), chain.hyperparameters().tempo
    with transaction.atomic():
        before = _addresses()
        _store(metagraph)
        Snapshot.objects.create(block=metagraph.block, tempo=tempo, neurons=len(metagraph.neurons))
        if changed := before != _addresses():
            notify(CHANNEL)
    if changed:
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
        if row.executor_class in ExecutorClass.__members__.values():
            offers.setdefault(row.hotkey, {})[ExecutorClass(row.executor_class)] = row.count
    return [
        ServingMiner(hotkey, ip, port, offers.get(hotkey, {}), reported_at.get(hotkey))
        for hotkey, ip, port in sorted(_addresses())
        if hotkey != validator and _may_reach(hotkey, ip, reach)
    ]


def poll_manifests(validator: Signer, reach: Reach, timeout_seconds: float) -> None:
    """Request the manifest of every serving miner; one that does not answer keeps its old one."""
    addresses = [
        Address(miner.hotkey, miner.host, miner.port)
        for miner in serving_miners(validator.ss58_address, reach)
    ]
    answers = asyncio.run(manifest_poll.poll(addresses, validator, timeout_seconds))
    for hotkey, answer in answers.items():
        store_manifest(hotkey, answer.manifest)
    log.debug("manifests polled", extra={"asked": len(addresses), "answered": len(answers)})


def store_manifest(hotkey: str, manifest: Mapping[ExecutorClass, int]) -> None:
    """Store a miner's manifest; classes that it no longer lists are deleted."""
    now = timezone.now()
    rows = [
        Manifest(hotkey=hotkey, executor_class=kind.value, count=count, heard_at=now)
        for kind, count in manifest.items()
    ]
    with transaction.atomic():
        mine = Manifest.objects.filter(hotkey=hotkey)
        before = dict(mine.values_list("executor_class", "count"))
        mine.exclude(executor_class__in=[row.executor_class for row in rows]).delete()
        Manifest.objects.bulk_create(
            rows,
            update_conflicts=True,
            unique_fields=["hotkey", "executor_class"],
            update_fields=["count", "heard_at"],
        )
        if before != {row.executor_class: row.count for row in rows}:
            notify(CHANNEL)


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
