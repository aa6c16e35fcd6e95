"""Keeping up with the subnet: the metagraph and the miners' manifests."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from compute_horde.adapters.chain_port import Chain, Metagraph
from compute_horde.django.job_record import notify
from compute_horde.hardware import ExecutorClass
from compute_horde.signing import Signer
from validator.jobs.lines import Address
from validator.network import manifests
from validator.network.models import Manifest, Neuron, Snapshot

log = logging.getLogger(__name__)

CHANNEL = "validator_network"


@dataclass(frozen=True, slots=True)
class ServingMiner:
    """A miner with an address and what it last said it has, as far as that was stored."""

    hotkey: str
    host: str
    port: int
    manifest: Mapping[ExecutorClass, int]
    heard_at: datetime | None = field(default=None, compare=False)

    def is_news(self, told_at: datetime | None) -> bool:
        """Whether what is stored is newer than what the miner itself told at `told_at`."""
        return told_at is None or (self.heard_at is not None and self.heard_at > told_at)


def refresh_metagraph(chain: Chain) -> None:
    """Store the subnet as the chain sees it now; tell the listener if addresses changed."""
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


def last_look(longest_ago: timedelta) -> Snapshot | None:
    """The chain as it was a moment ago; None when nobody looked for so long."""
    return Snapshot.objects.filter(taken_at__gt=timezone.now() - longest_ago).first()


def serving_miners(validator: str) -> list[ServingMiner]:
    """Who may be given jobs: everybody with an address but ourselves."""
    offers: dict[str, dict[ExecutorClass, int]] = {}
    heard: dict[str, datetime] = {}
    for row in Manifest.objects.all():
        heard[row.hotkey] = max(row.heard_at, heard.get(row.hotkey, row.heard_at))
        if row.executor_class in ExecutorClass.__members__.values():
            offers.setdefault(row.hotkey, {})[ExecutorClass(row.executor_class)] = row.count
    return [
        ServingMiner(hotkey, ip, port, offers.get(hotkey, {}), heard.get(hotkey))
        for hotkey, ip, port in sorted(_addresses())
        if hotkey != validator
    ]


def poll_manifests(validator: Signer, timeout_seconds: float) -> None:
    """Ask every serving miner what it offers; who does not answer keeps what it said before."""
    addresses = [
        Address(miner.hotkey, miner.host, miner.port)
        for miner in serving_miners(validator.ss58_address)
    ]
    answers = asyncio.run(manifests.poll(addresses, validator, timeout_seconds))
    for hotkey, answer in answers.items():
        store_manifest(hotkey, answer.manifest)
    log.debug("manifests polled", extra={"asked": len(addresses), "answered": len(answers)})


def store_manifest(hotkey: str, manifest: Mapping[ExecutorClass, int]) -> None:
    """Remember what a miner said it has; classes it no longer names are gone."""
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
