"""Everything the environment may say to the validator."""

import json
from datetime import timedelta
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Annotated

from bittensor_core import Keypair
from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from compute_horde.adapters.wallet import load_hotkey
from compute_horde.hardware import ExecutorClass
from validator.jobs.rules import Patience


def _words(value: object) -> object:
    """Accept `a,b` as well as `["a", "b"]`."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return json.loads(value)
    return [word.strip() for word in value.split(",") if word.strip()]


Words = Annotated[list[str], NoDecode, BeforeValidator(_words)]

CLASS_WEIGHTS = {
    ExecutorClass.spin_up_4min__gpu_24gb: Decimal(98),
    ExecutorClass.always_on__llm__a6000: Decimal(1),
    ExecutorClass.always_on__cpu__8c__16gb: Decimal(1),
    ExecutorClass.always_on__gpu_24gb: Decimal(1),
    ExecutorClass.always_on__test: Decimal(0),
}


class Config(BaseSettings):
    """The validator's settings; `VALIDATOR_` goes before each name."""

    model_config = SettingsConfigDict(env_prefix="VALIDATOR_", extra="ignore", frozen=True)

    secret_key: SecretStr = Field(description="Django's secret")
    database_url: SecretStr = Field(description="postgresql://user:password@host:port/name")
    redis_url: SecretStr = Field(SecretStr("redis://127.0.0.1:6379/0"), description="for Celery")
    hotkey_file: Path = Field(description="the validator's unencrypted hotkey file")
    host: str = Field("127.0.0.1", description="where the admin site listens")
    port: int = 8001
    admin_user: str = Field("", description="the admin account that `seed` makes")
    admin_password: SecretStr = SecretStr("")
    allowed_hosts: Words = Field(["*"], description="names the admin site answers to")
    trusted_origins: Words = Field([], description="https origins of the admin behind a proxy")
    debug: bool = False

    facilitator_url: str = Field(
        "wss://facilitator.computehorde.io/ws/v0/", description="whose jobs we take"
    )
    chain_url: str = Field("finney", description="node address or network name")
    netuid: int = Field(12, ge=0, description="the subnet")
    allowed_signers: Words = Field([], description="hotkeys whose jobs we take, beside our own")
    max_request_age_seconds: int = Field(300, ge=1, description="older signatures are refused")

    streaming_images: Words = Field(
        [], description="images that may serve users, as `repository[:tag|@digest]` with `*`"
    )

    trusted_miner_address: str = Field("", description="our own private miner, if any")
    trusted_miner_port: int = 0

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

    refresh_seconds: float = Field(60, gt=0, description="between looks at the metagraph")
    manifest_seconds: float = Field(300, gt=0, description="between polls of manifests")
    tick_seconds: float = Field(12, gt=0, description="between looks for a due batch or weights")
    keep_days: int = Field(7, ge=1, description="how long jobs and receipts stay")

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

    @cached_property
    def hotkey(self) -> Keypair:
        """The validator's key."""
        return load_hotkey(self.hotkey_file)

    @property
    def look_lasts(self) -> timedelta:
        """How long a look at the chain tells which cycle it is."""
        return timedelta(seconds=10 * self.refresh_seconds)

    @property
    def patience(self) -> Patience:
        """Our own part of every job's time."""
        return Patience(
            timedelta(seconds=self.reservation_seconds),
            timedelta(seconds=self.startup_seconds),
            timedelta(seconds=self.leeway_seconds),
        )


config = Config()  # type: ignore[call-arg]  # the environment gives what is required
