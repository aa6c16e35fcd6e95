"""The listener process: takes jobs from the facilitator and runs them on miners."""

import asyncio
import logging
from datetime import datetime, timedelta

import uvloop
from django.utils import timezone

from compute_horde import startup
from compute_horde.concurrency.batch_writer import BatchWriter
from compute_horde.django import notifications
from compute_horde.django.database import close_threads, in_database
from compute_horde.django.single_instance import run_until_signal
from compute_horde.protocol.capacity import Manifest
from compute_horde.protocol.extensions import CancelRequested
from compute_horde.protocol.handshake import TRUSTED_MINER_HOTKEY
from compute_horde.protocol.job import CheatReported, JobRequested
from compute_horde.protocol.message import JobMessage
from compute_horde.protocol.status import StatusReported
from validator.allowance.actions import BlockPayer
from validator.config import Config, config
from validator.facilitator.connection import FacilitatorConnection, StoredChallengeMemory
from validator.facilitator.outbox import Outbox
from validator.facilitator.output_relay import OutputRelay
from validator.facilitator.waiting_statuses import Stored, WaitingStatuses
from validator.jobs import queries
from validator.jobs.actions import CHANNEL as JOBS
from validator.jobs.intake import JobIntake
from validator.jobs.recorder import JobRecorder
from validator.jobs.runner import RunnerSettings
from validator.miners.connection import Address, Callbacks, MinerConnection
from validator.miners.connections import MinerConnections
from validator.network.actions import serving_miners
from validator.network.manifest_store import CHANNEL as NETWORK
from validator.network.manifest_store import store_manifest
from validator.routing.scheduler import Scheduler
from validator.trusted_miner.findings import distrusted_miners, record_cheat_report

log = logging.getLogger(__name__)

LOCK = "validator listener"


class Listener:
    """Builds and connects the parts of the process: facilitator, intake, scheduler, miners."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._outbox = Outbox(statuses=WaitingStatuses(_read_status))
        self._recorder = JobRecorder(self._outbox)
        self._output = OutputRelay(self._outbox, lambda uuid: self._intake.miner_of(uuid))
        callbacks = Callbacks(
            self._on_manifest, self._on_presence, self._on_unmatched, self._output.relay
        )
        self._connections = MinerConnections(
            config.hotkey, absence_seconds=config.miner_absence_seconds, callbacks=callbacks
        )
        self._scheduler = Scheduler(
            self._connections.reachable,
            self._connections.reconnect_now,
            max_per_class=config.most_executors_per_class,
            has_trusted_miner=bool(config.trusted_miner_address),
        )
        self._intake = JobIntake(
            _runner_settings(config), self._scheduler, self._connections, self._recorder
        )
        self._manifests: BatchWriter[str, Manifest] = BatchWriter(_store_manifest)
        self._reported_at: dict[str, datetime] = {}
        self._facilitator = FacilitatorConnection(
            config.facilitator_url,
            config.hotkey,
            self._outbox,
            on_message=self._on_facilitator_message,
            on_acknowledged=self._recorder.mark_acknowledged,
            memory=StoredChallengeMemory(config.facilitator_url),
        )

    async def run(self) -> None:
        """Run until cancelled, then finish writing."""
        try:
            startup.ready(
                hotkey=self._config.hotkey.ss58_address, facilitator=self._config.facilitator_url
            )
            await self._recorder.report_unacknowledged()
            self._output.remember(await self._recorder.miners_of_unacknowledged())
            async with asyncio.TaskGroup() as group:
                group.create_task(self._facilitator.run())
                group.create_task(self._follow_notifications())
        finally:
            await self._intake.close()
            await self._manifests.close()
            await self._connections.close()

    async def _follow_notifications(self) -> None:
        async for notification in notifications.listen(JOBS, NETWORK):
            # Unfinished jobs are read before miners are connected and resumed before a miner can
            # send: as soon as it is connected, a miner repeats the messages that were missed.
            jobs = await self._intake.load_unclaimed() if notification.channel != NETWORK else []
            if notification.channel != JOBS:
                await self._refresh_miners()
            self._intake.resume_all(jobs)
            if notification.channel != NETWORK:
                await self._intake.apply_cancels()

    async def _refresh_miners(self) -> None:
        validator = self._config.hotkey.ss58_address
        miners = await in_database(serving_miners, validator, self._config.reach)
        exclusion = timedelta(seconds=self._config.cheat_exclusion_seconds)
        distrusted = await in_database(distrusted_miners, exclusion)
        # Nothing is waited for from here on: see `_follow_notifications`.
        addresses = [Address(miner.hotkey, miner.host, miner.port) for miner in miners]
        if self._config.trusted_miner_address:
            addresses.append(
                Address(
                    TRUSTED_MINER_HOTKEY,
                    self._config.trusted_miner_address,
                    self._config.trusted_miner_port,
                )
            )
        for hotkey in self._connections.serve(addresses):
            self._scheduler.remove_miner(hotkey)
            self._reported_at.pop(hotkey, None)
        self._scheduler.set_distrusted(distrusted)
        for miner in miners:
            if miner.is_newer_than(self._reported_at.get(miner.hotkey)):
                self._scheduler.set_manifest(miner.hotkey, miner.manifest)

    def _on_facilitator_message(
        self, message: JobRequested | CheatReported | CancelRequested
    ) -> None:
        match message:
            case JobRequested():
                self._intake.start(self._intake.submit(message))
            case CancelRequested():
                self._intake.start(self._intake.cancel(message))
            case CheatReported():
                self._intake.start(in_database(record_cheat_report, message, self._config))

    def _on_manifest(self, hotkey: str, manifest: Manifest) -> None:
        self._scheduler.set_manifest(hotkey, manifest.manifest)
        self._reported_at[hotkey] = timezone.now()
        if hotkey != TRUSTED_MINER_HOTKEY:
            self._manifests.put(hotkey, manifest)

    def _on_presence(self, hotkey: str) -> None:
        log.info(
            "miner connected or disconnected",
            extra={"miner": hotkey, "connected": self._connections.reachable(hotkey)},
        )
        self._scheduler.assign_waiting()

    def _on_unmatched(self, connection: MinerConnection, message: JobMessage, size: int) -> None:
        self._intake.on_unmatched(connection, message)


def _runner_settings(config: Config) -> RunnerSettings:
    return RunnerSettings(
        validator=config.hotkey,
        signers=frozenset({config.hotkey.ss58_address, *config.allowed_signers}),
        timing=config.timing,
        queue_seconds=config.queue_seconds,
        interval=timedelta(seconds=config.interval_seconds),
        max_request_age=timedelta(seconds=config.max_request_age_seconds),
        streaming_images=tuple(config.streaming_images),
        jobs_in_flight=config.max_jobs_in_flight,
        trusted_jobs_in_flight=config.max_trusted_jobs_in_flight,
        jobs_per_minute=config.max_jobs_per_minute,
        payer=BlockPayer.configured(config),
    )


async def _store_manifest(hotkey: str, manifests: list[Manifest]) -> None:
    interval = timedelta(seconds=config.manifest_change_seconds)
    await in_database(store_manifest, hotkey, manifests[-1].manifest, interval)


async def _read_status(stored: Stored) -> StatusReported | None:
    return await in_database(queries.read_status, stored)


async def _run_until_signal() -> None:
    try:
        await run_until_signal(LOCK, Listener(config).run)
    finally:
        await asyncio.to_thread(close_threads)


def main() -> None:
    """Run until SIGTERM or Ctrl-C."""
    uvloop.run(_run_until_signal())
