"""The process that talks: jobs from the facilitator, conversations with miners."""

import asyncio
import logging
import signal
from datetime import datetime, timedelta

import uvloop
from django.utils import timezone

from compute_horde.django import listen
from compute_horde.django.database import close_threads, in_database
from compute_horde.django.scribe import Scribe
from compute_horde.django.sole import only
from compute_horde.protocol.capacity import Manifest
from compute_horde.protocol.extensions import CancelRequested
from compute_horde.protocol.handshake import TRUSTED_MINER_HOTKEY
from compute_horde.protocol.job import CheatReported, JobRequested
from compute_horde.protocol.message import JobMessage
from validator.config import Config, config
from validator.jobs.actions import CHANNEL as JOBS
from validator.jobs.actions import note_cheat
from validator.jobs.conductor import Terms
from validator.jobs.desk import Desk
from validator.jobs.diary import Diary
from validator.jobs.facilitator import FacilitatorLine
from validator.jobs.lines import Address, Ears, MinerLine
from validator.jobs.outbox import Outbox
from validator.jobs.output import Output
from validator.jobs.roster import Roster
from validator.jobs.switchboard import Switchboard
from validator.network.actions import CHANNEL as NETWORK
from validator.network.actions import serving_miners, store_manifest

log = logging.getLogger(__name__)

SEAT = "validator listener"


class Listener:
    """Everything in the process, connected."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._outbox = Outbox()
        self._diary = Diary(self._outbox)
        self._output = Output(self._outbox, lambda uuid: self._desk.miner_of(uuid))
        ears = Ears(self._manifest, self._presence, self._stray, self._output.hear)
        self._switchboard = Switchboard(
            config.hotkey, absence_seconds=config.miner_absence_seconds, ears=ears
        )
        self._roster = Roster(
            self._switchboard.reachable,
            self._switchboard.hurry,
            most_per_class=config.most_executors_per_class,
        )
        self._desk = Desk(_terms(config), self._roster, self._switchboard.line, self._diary)
        self._manifests: Scribe[str, Manifest] = Scribe(_remember_manifest)
        self._told_at: dict[str, datetime] = {}
        self._facilitator = FacilitatorLine(
            config.facilitator_url,
            config.hotkey,
            self._outbox,
            heard=self._heard,
            acknowledged=self._diary.acknowledged,
        )

    async def run(self) -> None:
        """Work until cancelled, then finish writing."""
        try:
            await self._diary.tell_untold()
            self._output.remember(await self._diary.miners_of_untold())
            async with asyncio.TaskGroup() as group:
                group.create_task(self._facilitator.run())
                group.create_task(self._watch())
        finally:
            await self._desk.close()
            await self._manifests.close()
            await self._switchboard.close()

    async def _watch(self) -> None:
        async for notice in listen.notices(JOBS, NETWORK):
            # Read before any line is opened, listened to before any miner can speak: a miner
            # repeats what we missed as soon as it sees us.
            jobs = await self._desk.unclaimed() if notice.channel != NETWORK else []
            if notice.channel != JOBS:
                await self._refresh_miners()
            self._desk.adopt(jobs)
            if notice.channel != NETWORK:
                await self._desk.heed_cancels()

    async def _refresh_miners(self) -> None:
        miners = await in_database(serving_miners, self._config.hotkey.ss58_address)
        addresses = [Address(miner.hotkey, miner.host, miner.port) for miner in miners]
        if self._config.trusted_miner_address:
            addresses.append(
                Address(
                    TRUSTED_MINER_HOTKEY,
                    self._config.trusted_miner_address,
                    self._config.trusted_miner_port,
                )
            )
        for hotkey in self._switchboard.serve(addresses):
            self._roster.forget(hotkey)
            self._told_at.pop(hotkey, None)
        for miner in miners:
            if miner.is_news(self._told_at.get(miner.hotkey)):
                self._roster.offer(miner.hotkey, miner.manifest)

    def _heard(self, message: JobRequested | CheatReported | CancelRequested) -> None:
        match message:
            case JobRequested():
                self._desk.start(self._desk.take(message))
            case CancelRequested():
                self._desk.start(self._desk.cancel(message))
            case CheatReported():
                self._desk.start(in_database(note_cheat, message))

    def _manifest(self, hotkey: str, manifest: Manifest) -> None:
        self._roster.offer(hotkey, manifest.manifest)
        self._told_at[hotkey] = timezone.now()
        if hotkey != TRUSTED_MINER_HOTKEY:
            self._manifests.hear(hotkey, manifest)

    def _presence(self, hotkey: str) -> None:
        log.info(
            "miner presence",
            extra={"miner": hotkey, "connected": self._switchboard.reachable(hotkey)},
        )
        self._roster.look()

    def _stray(self, line: MinerLine, message: JobMessage) -> None:
        self._desk.heard_stray(line, message)


def _terms(config: Config) -> Terms:
    return Terms(
        validator=config.hotkey,
        signers=frozenset({config.hotkey.ss58_address, *config.allowed_signers}),
        patience=config.patience,
        queue_seconds=config.queue_seconds,
        interval=timedelta(seconds=config.interval_seconds),
        max_request_age=timedelta(seconds=config.max_request_age_seconds),
        streaming_images=tuple(config.streaming_images),
    )


async def _remember_manifest(hotkey: str, manifests: list[Manifest]) -> None:
    await in_database(store_manifest, hotkey, manifests[-1].manifest)


async def _until_told_to_stop() -> None:
    loop, work = asyncio.get_running_loop(), asyncio.create_task(only(SEAT, Listener(config).run))
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, work.cancel)
    try:
        await work
    except asyncio.CancelledError:
        log.info("listener stopped")
    finally:
        await asyncio.to_thread(close_threads)


def main() -> None:
    """Run until SIGTERM or Ctrl-C."""
    uvloop.run(_until_told_to_stop())
