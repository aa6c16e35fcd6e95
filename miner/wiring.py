"""Builds, starts and stops the parts of a miner process."""

import asyncio
import logging
from datetime import timedelta

from compute_horde.django.database import close_threads, in_database
from compute_horde.signing import Signer
from miner.config import Config
from miner.executors.manager import ManagerSettings, load
from miner.executors.pool import ExecutorPool
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
    """The parts of a running miner, used by its consumers and views."""

    def __init__(self, config: Config, hotkey: Signer) -> None:
        self.config = config
        self.hotkey = hotkey
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
        self.active_jobs = ActiveJobs(hotkey, self.pool, self.validator_sockets)
        self.intake = JobIntake(
            hotkey,
            job_policy(config),
            self.directory,
            self.pool,
            self.active_jobs,
            self.receipt_writer,
        )
        self._instance_id = ""
        self._following: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """End the jobs of an earlier process, read the validators, and start executors."""
        if ended := await in_database(store.end_unfinished):
            log.warning("unfinished jobs of an earlier process ended", extra={"jobs": len(ended)})
        self._instance_id = await in_database(instance_id)
        await self.directory.read()
        self._following = asyncio.create_task(self.directory.follow())
        await self.pool.open()

    def instance_proof(self, nonce: str) -> dict[str, str]:
        """Headers that prove to another copy of this miner which instance this is.

        Empty when this miner is not announced on the chain.
        """
        if self.config.trusted or not self.config.serving:
            return {}
        return instance_proof(self.hotkey, self._instance_id, nonce)

    async def drain(self) -> None:
        """Stop taking jobs, give active ones `shutdown_seconds` to finish, and end the others.

        Executors are stopped afterwards. Connections stay open, so validators get the results.
        """
        self.intake.is_closing = True
        grace = self.config.shutdown_seconds
        try:
            async with asyncio.timeout(grace + WRITE_SECONDS):
                await self.active_jobs.close(grace)
                await self.receipt_writer.close()
        except TimeoutError:
            log.error("the last messages could not be stored; the next start ends their jobs")
        await self.pool.close()

    async def close(self) -> None:
        """Drain if that has not been done, then stop following the database."""
        if not self.intake.is_closing:
            await self.drain()
        await self.directory.close()
        if self._following:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
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
