"""The settings of the validator, read from the environment."""

from datetime import timedelta
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Annotated

from bittensor_core import Keypair
from pydantic import AfterValidator, BeforeValidator, Field, IPvAnyNetwork, SecretStr
from pydantic_settings import NoDecode, SettingsConfigDict

from compute_horde.adapters.wallet import load_hotkey
from compute_horde.addresses import Reach
from compute_horde.configuration import DatabaseUrl, Port, ServiceSettings, Words, load, split_words
from compute_horde.django.forwarded import checked_proxies
from compute_horde.django.settings import SecretKey
from compute_horde.hardware import ExecutorClass
from validator.jobs.rules import ValidatorTiming

CLASS_WEIGHTS = {
    ExecutorClass.spin_up_4min__gpu_24gb: Decimal(98),
    ExecutorClass.always_on__llm__a6000: Decimal(1),
    ExecutorClass.always_on__cpu__8c__16gb: Decimal(1),
    ExecutorClass.always_on__gpu_24gb: Decimal(1),
    ExecutorClass.always_on__test: Decimal(0),
}


class Config(ServiceSettings):
    """The validator's settings, each an environment variable with the prefix `VALIDATOR_`."""

    model_config = SettingsConfigDict(env_prefix="VALIDATOR_")

    secret_key: SecretKey = Field(description="signs sessions of the admin site")
    database_url: DatabaseUrl = Field(description="postgresql://user:password@host:port/name")
    redis_url: SecretStr = Field(SecretStr("redis://127.0.0.1:6379/0"), description="for Celery")
    hotkey_file: Path = Field(description="the validator's unencrypted hotkey file")
    host: str = Field("127.0.0.1", description="where the admin site listens")
    port: Port = 8001
    admin_user: str = Field("", description="the admin account that `seed` makes")
    admin_password: SecretStr = SecretStr("")
    allowed_hosts: Words = Field(["*"], description="names the admin site answers to")
    trusted_origins: Words = Field([], description="https origins of the admin behind a proxy")
    trusted_proxies: Annotated[Words, AfterValidator(checked_proxies)] = Field(
        [], description="addresses or networks whose X-Forwarded-For and -Proto are believed"
    )
    max_connections: int = Field(256, gt=0, description="open at once, in all")
    max_connections_per_address: int = Field(
        64, gt=0, description="open at once, of one address or IPv6 /64"
    )
    https: bool = Field(
        False, description="browsers reach the admin by https only, through a trusted proxy"
    )
    metrics_token: SecretStr | None = Field(
        None, description="opens /metrics as a bearer token; unset, there are no metrics"
    )
    debug: bool = False

    facilitator_url: str = Field(
        "wss://facilitator.computehorde.io/ws/v0/", description="websocket of the facilitator"
    )
    chain_url: str = Field("finney", description="node address or network name")
    netuid: int = Field(12, ge=0, description="the subnet")
    allowed_signers: Words = Field(
        [], description="hotkeys whose jobs are accepted, beside the validator's own"
    )
    max_jobs_in_flight: int = Field(500, gt=0, description="unfinished jobs of one signer")
    max_jobs_per_minute: int = Field(1200, gt=0, description="new jobs of one signer")
    max_request_age_seconds: int = Field(300, ge=1, description="older signatures are refused")

    streaming_images: Words = Field(
        [], description="images that may serve users, as `repository[:tag|@digest]` with `*`"
    )

    allowed_networks: Annotated[
        tuple[IPvAnyNetwork, ...], NoDecode, BeforeValidator(split_words)
    ] = Field((), description="private networks in which miners may be, such as `10.1.0.0/16`")
    trusted_miner_address: str = Field(
        "", description="host of the validator's private miner, if any"
    )
    trusted_miner_port: Port = 0

    queue_seconds: float = Field(60, ge=0, description="how long a job waits for an executor")
    miner_absence_seconds: float = Field(
        30, ge=0, description="how long a miner may be out of reach before its jobs are given up"
    )
    reservation_seconds: int = Field(7, ge=1, description="a miner accepts or declines within this")
    interval_seconds: int = Field(
        600, ge=1, le=86400, description="work of a job is accounted for in pieces of this length"
    )
    startup_seconds: int = Field(5, ge=0, description="added to the spin-up time of the class")
    leeway_seconds: int = Field(5, ge=0, description="spare time once per job")

    refresh_seconds: float = Field(60, gt=0, description="between reads of the metagraph")
    manifest_seconds: float = Field(300, gt=0, description="between polls of manifests")
    tick_seconds: float = Field(12, gt=0, description="between checks for a due batch or weights")
    keep_days: int = Field(7, ge=1, description="how long jobs and their receipts are kept")
    receipt_interval_seconds: float = Field(
        2, gt=0, description="between requests for a miner's receipt pages"
    )
    receipt_keep_days: int = Field(
        2, ge=1, description="how long receipts that miners published are kept"
    )
    receipt_min_stake: int = Field(
        0, ge=0, description="TAO; receipts that neurons with less stake issued are not stored"
    )
    receipt_processes: int = Field(
        1, ge=1, le=64, description="processes that verify receipts, one core each"
    )

    hash_image: str = "computehorde/hash:v1"
    hash_candidates: int = Field(300, ge=1, description="cost of one synthetic puzzle")
    hash_seconds: int = Field(60, ge=1, description="time limit of one synthetic puzzle")
    manifest_timeout_seconds: float = Field(10, gt=0, description="for one miner's manifest")
    batch_offset: float = Field(0.05, ge=0, lt=1, description="part of a cycle before its batch")
    batch_deadline: float = Field(0.8, gt=0, le=1, description="part after which no batch starts")
    most_executors_per_class: int = Field(
        32, ge=1, description="of a miner's executors of one class only so many count"
    )
    class_weights: dict[ExecutorClass, Decimal] = CLASS_WEIGHTS

    @property
    def reach(self) -> Reach:
        """The networks in which miners may be."""
        return Reach(networks=self.allowed_networks)

    @cached_property
    def hotkey(self) -> Keypair:
        """The validator's key."""
        return load_hotkey(self.hotkey_file)

    @property
    def snapshot_lifetime(self) -> timedelta:
        """For how long a chain snapshot is recent enough to tell the present cycle."""
        return timedelta(seconds=10 * self.refresh_seconds)

    @property
    def timing(self) -> ValidatorTiming:
        """The parts of a job's time budget that the validator sets itself."""
        return ValidatorTiming(
            timedelta(seconds=self.reservation_seconds),
            timedelta(seconds=self.startup_seconds),
            timedelta(seconds=self.leeway_seconds),
        )


config = load(Config)
