"""Builds, starts and stops the parts of a miner process."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from compute_horde.concurrency.task_set import TaskSet
from compute_horde.django.database import close_threads, in_database
from compute_horde.protocol.capacity import Manifest
from compute_horde.signing import Signer
from compute_horde.vocabulary import Extension
from miner.config import Config
from miner.earnings.actions import MinimumPrices
from miner.earnings.declines import DeclineCounter
from miner.executors.manager import ManagerSettings, load
from miner.executors.pool import ExecutorPool
from miner.hotkeys.actions import PresentMainHotkey
from miner.hotkeys.offers import Offers
from miner.hotkeys.schedule import main_hotkey_schedule
from miner.hotkeys.served import ServedHotkey, primary
from miner.jobs import store
from miner.jobs.active_jobs import ActiveJobs
from miner.jobs.intake import JobIntake
from miner.jobs.output_relay import OutputRelay
from miner.jobs.rules import JobPolicy
from miner.jobs.validator_sockets import ValidatorSockets
from miner.other_copy import instance_id, instance_proof
from miner.receipts.store import ReceiptWriter
from miner.validators.actions import ValidatorDirectory
from miner.validators.connection_limit import ConnectionLimiter
from miner.validators.logins import LoginMemory

log = logging.getLogger(__name__)


WRITE_SECONDS = 1.0


class Miner:
    """The parts of a running miner, used by its consumers and views.

    `hotkey` is the first of its hotkeys, `others` are further ones. All share one pool of
    executors, and each has a port and an intake of its own.
    """

    def __init__(self, config: Config, hotkey: Signer, others: Sequence[ServedHotkey] = ()) -> None:
        self.config = config
        self.hotkey = hotkey
        self.served = (primary(config, hotkey), *others)
        self.directory = ValidatorDirectory(config.validators, only_pinned=config.trusted)
        self.connection_limiter = ConnectionLimiter(config.strangers_per_address)
        self.logins = LoginMemory()
        self.validator_sockets = ValidatorSockets()
        self.receipt_writer = ReceiptWriter()
        self.output_relay = OutputRelay()
        settings = manager_settings(config, hotkey)
        manager = load(config.executor_manager)
        self.pool = ExecutorPool(
            lambda on_exit: manager(settings, on_exit),
            start_limit=timedelta(seconds=config.start_seconds),
        )
        self.active_jobs = ActiveJobs(self.pool, self.validator_sockets)
        self.main_hotkey = PresentMainHotkey(main_hotkey_schedule(config, hotkey))
        hotkeys = [one.ss58_address for one in self.served]
        self.minimum_prices, self.declines = MinimumPrices(), DeclineCounter()
        self.offers = Offers(
            self.pool, hotkeys, self.main_hotkey, config.division, self.minimum_prices
        )
        self._intakes = {one.ss58_address: self._new_intake(one.signer) for one in self.served}
        self._by_port = {one.port: one for one in self.served}
        self._instance_id = ""
        self._following: list[asyncio.Task[None]] = []
        self._tasks = TaskSet()

    def _new_intake(self, signer: Signer) -> JobIntake:
        return JobIntake(
            signer,
            self.offers,
            job_policy(self.config),
            self.directory,
            self.pool,
            self.active_jobs,
            self.receipt_writer,
            self.declines,
        )

    @property
    def is_closing(self) -> bool:
        """Whether the miner takes no more jobs."""
        return any(intake.is_closing for intake in self._intakes.values())

    def served_at(self, scope: Mapping[str, Any]) -> ServedHotkey:
        """The hotkey that a connection addresses, by the port that it came to."""
        _, port = scope.get("server") or ("", 0)
        return self._by_port.get(port, self.served[0])

    def intake_of(self, hotkey: ServedHotkey) -> JobIntake:
        """The intake of the jobs that are offered to a hotkey."""
        return self._intakes[hotkey.ss58_address]

    async def open(self) -> None:
        """End the jobs of an earlier process, read the validators, and start executors."""
        if ended := await in_database(store.end_unfinished):
            log.warning("unfinished jobs of an earlier process ended", extra={"jobs": len(ended)})
        self._instance_id = await in_database(instance_id)
        await self.directory.read()
        await self.main_hotkey.read()
        await self.minimum_prices.read()
        self._following = [
            asyncio.create_task(self.directory.follow()),
            asyncio.create_task(self.main_hotkey.follow(self._send_manifests)),
            asyncio.create_task(self.minimum_prices.follow(self._send_manifests)),
        ]
        await self.pool.open()

    def _send_manifests(self) -> None:
        """Send what is offered now to the validators that stay connected.

        Published validators expect one manifest for each connection.
        """
        for parties, socket in self.validator_sockets.every():
            if socket.extensions:
                offered = self.offers.manifest(parties.miner)
                manifest = Manifest(manifest=offered, extensions=tuple(Extension))
                self._tasks.spawn(socket.send_message(manifest))

    def instance_proof(self, nonce: str, hotkey: ServedHotkey | None = None) -> dict[str, str]:
        """Headers that prove to another copy of this miner which instance this is.

        They are signed by `hotkey`, by default the first one.

        Empty when this miner is not announced on the chain.
        """
        if self.config.trusted or not self.config.serving:
            return {}
        signer = hotkey.signer if hotkey else self.hotkey
        return instance_proof(signer, self._instance_id, nonce)

    async def drain(self) -> None:
        """Stop taking jobs, give active ones `shutdown_seconds` to finish, and end the others.

        Executors are stopped afterwards. Connections stay open, so validators get the results.
        """
        for intake in self._intakes.values():
            intake.is_closing = True
        grace = self.config.shutdown_seconds
        try:
            async with asyncio.timeout(grace + WRITE_SECONDS):
                await self.active_jobs.close(grace)
                await self.receipt_writer.close()
                await self.declines.close()
        except TimeoutError:
            log.error("the last messages could not be stored; the next start ends their jobs")
        await self.pool.close()

    async def close(self) -> None:
        """Drain if that has not been done, then stop following the database."""
        if not self.is_closing:
            await self.drain()
        await self.directory.close()
        for task in self._following:
            task.cancel()
        await asyncio.gather(*self._following, return_exceptions=True)
        await self._tasks.cancel()
        close_threads()


def job_policy(config: Config) -> JobPolicy:
    """The rules for accepting jobs, from the settings."""
    return JobPolicy(
        check_receipts=config.check_receipts,
        require_signature=config.require_validator_signature,
        trusted=config.trusted,
        startup=timedelta(seconds=config.startup_seconds),
        grace=timedelta(seconds=config.grace_seconds),
        streaming_images=config.streaming_images,
    )


def manager_settings(config: Config, hotkey: Signer) -> ManagerSettings:
    """The settings of the executor manager."""
    return ManagerSettings(
        miner_address=config.address_for_executors,
        owner=config.owner or hotkey.ss58_address,
        counts=config.executors,
        work_dir=config.work_dir,
        docker_socket=config.docker_socket,
        docker_servers=config.docker_servers,
        executor_image=config.executor_image,
        executor_address=config.executor_address,
    )
