"""Asks all miners for manifests and main hotkeys; manifests of silent ones are on the chain."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from compute_horde import manifest_commitment
from compute_horde.adapters.chain_port import Chain
from compute_horde.errors import ChainError
from compute_horde.hardware import ExecutorClass
from validator.config import Config
from validator.miners import manifest_poll
from validator.miners.connection import Address
from validator.network import change_log, main_hotkeys
from validator.network.actions import latest_snapshot, serving_miners
from validator.network.manifest_store import settle, store_manifests
from validator.network.models import ManifestSource, ManifestStatus, ObservedBlocks

log = logging.getLogger(__name__)

MANIFESTS = ObservedBlocks.Stream.MANIFESTS
# So many polls may be missed before a miner counts as silent, or the validator as blind.
MISSED_POLLS = 3

OpenChain = Callable[[], AbstractContextManager[Chain]]


def poll_manifests(config: Config, open_chain: OpenChain) -> None:
    """Request and store the manifest of every serving miner.

    One that does not answer keeps its old one. Once it has been silent for several polls, the
    manifest in its commitment on the chain is used, if there is one. Once per cycle the miners of
    each coldkey are also asked for their main hotkey.
    """
    miners = serving_miners(config.hotkey.ss58_address, config.reach)
    addresses = [Address(miner.hotkey, miner.host, miner.port) for miner in miners]
    question = _main_hotkey_question(config, [miner.hotkey for miner in miners])
    asked = question.coldkeys.keys() if question else ()
    answers = asyncio.run(
        manifest_poll.poll(addresses, config.hotkey, config.manifest_timeout_seconds, asked)
    )
    if question:
        named = {hotkey: one.main_hotkey for hotkey, one in answers.items()}
        main_hotkeys.store_answers(question, named)
    interval = timedelta(seconds=config.manifest_change_seconds)
    store_manifests({hotkey: one.manifest for hotkey, one in answers.items()}, interval)
    patience = timedelta(seconds=MISSED_POLLS * config.manifest_seconds)
    silent = _silent_since(
        {miner.hotkey for miner in miners} - answers.keys(), timezone.now() - patience
    )
    committed = committed_manifests(silent, open_chain)
    store_manifests(committed, interval, ManifestSource.CHAIN)
    _mark_polled(patience, config.snapshot_lifetime)
    log.info(
        "manifests polled",
        extra={"asked": len(miners), "answered": len(answers), "from_chain": len(committed)},
    )


def _main_hotkey_question(
    config: Config, miners: list[str]
) -> main_hotkeys.MainHotkeyQuestion | None:
    if (snapshot := latest_snapshot(config.snapshot_lifetime)) is None:
        return None
    return main_hotkeys.open_question(
        snapshot.block, miners, netuid=config.netuid, tempo=snapshot.tempo
    )


def committed_manifests(
    hotkeys: Iterable[str], open_chain: OpenChain
) -> dict[str, dict[ExecutorClass, int]]:
    """The manifests that these miners committed on the chain; empty when it cannot be read."""
    wanted = set(hotkeys)
    if not wanted:
        return {}
    try:
        with open_chain() as chain:
            commitments = chain.commitments()
    except ChainError as exc:
        log.warning("commitments not read", extra={"problem": str(exc)})
        return {}
    found = {
        hotkey: manifest_commitment.read(text)
        for hotkey, text in commitments.items()
        if hotkey in wanted
    }
    return {hotkey: manifest for hotkey, manifest in found.items() if manifest is not None}


def _silent_since(hotkeys: Iterable[str], moment: datetime) -> set[str]:
    """Those that did not report their manifest themselves since `moment`."""
    reporting = ManifestStatus.objects.filter(answered_at__gt=moment)
    return set(hotkeys) - set(reporting.values_list("hotkey", flat=True))


def _mark_polled(patience: timedelta, snapshot_lifetime: timedelta) -> None:
    """Log that the manifests of the newest known block were observed, and which they are."""
    now = timezone.now()
    with transaction.atomic():
        change_log.lock()
        if (snapshot := latest_snapshot(snapshot_lifetime)) is None:
            return
        run = change_log.last_observed(MANIFESTS)
        if run and run.last_block >= snapshot.block:
            return
        is_next = run is not None and now - run.last_at <= patience
        settle(snapshot.block, now)
        change_log.mark_observed(MANIFESTS, snapshot.block, now, run if is_next else None)
