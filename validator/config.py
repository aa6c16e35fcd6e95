"""The settings of the validator, read from the environment."""

from datetime import timedelta
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from bittensor_core import Keypair
from pydantic import (
    AfterValidator,
    AliasChoices,
    BeforeValidator,
    Field,
    IPvAnyNetwork,
    SecretStr,
    model_validator,
)
from pydantic_settings import NoDecode, SettingsConfigDict

from compute_horde.adapters.wallet import load_hotkey
from compute_horde.addresses import Reach
from compute_horde.configuration import DatabaseUrl, Port, Words, load, split_words
from compute_horde.django.forwarded import checked_proxies
from compute_horde.django.settings import SecretKey
from compute_horde.hardware import ExecutorClass
from validator.jobs.rules import ValidatorTiming
from validator.scoring.parameters import (
    DEFAULTS,
    FormulaName,
    LimitParameters,
    ScoringParameters,
    with_changes,
)
from validator.synthetic.batch_settings import BatchSettings

CLASS_WEIGHTS = {
    ExecutorClass.spin_up_4min__gpu_24gb: Decimal(98),
    ExecutorClass.always_on__llm__a6000: Decimal(1),
    ExecutorClass.always_on__cpu__8c__16gb: Decimal(1),
    ExecutorClass.always_on__gpu_24gb: Decimal(1),
    ExecutorClass.always_on__test: Decimal(0),
}


class Config(BatchSettings):
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
    chain_url: str = Field(
        "finney",
        description="node address or network name; of several, separated by commas, the first "
        "that is up and not behind is used",
    )
    netuid: int = Field(12, ge=0, description="the subnet")
    allowed_signers: Words = Field(
        [], description="hotkeys whose jobs are accepted, beside the validator's own"
    )
    max_jobs_in_flight: int = Field(500, gt=0, description="unfinished jobs of one signer")
    max_trusted_jobs_in_flight: int = Field(
        2, gt=0, description="unfinished jobs of one signer on the trusted miner"
    )
    max_jobs_per_minute: int = Field(1200, gt=0, description="new jobs of one signer")
    max_request_age_seconds: int = Field(300, ge=1, description="older signatures are refused")

    streaming_images: Words = Field(
        [], description="images that may serve users, as `repository[:tag|@digest]` with `*`"
    )

    allowed_networks: Annotated[
        tuple[IPvAnyNetwork, ...], NoDecode, BeforeValidator(split_words)
    ] = Field((), description="private networks in which miners may be, such as `10.1.0.0/16`")
    trusted_miner_address: str = Field(
        "",
        validation_alias=AliasChoices("VALIDATOR_TRUSTED_MINER_ADDRESS", "TRUSTED_MINER_ADDRESS"),
        description="host of the validator's private miner, if any",
    )
    trusted_miner_port: Port = Field(
        0,
        validation_alias=AliasChoices("VALIDATOR_TRUSTED_MINER_PORT", "TRUSTED_MINER_PORT"),
        description="its port; needed with its address",
    )
    cross_validation_share: float = Field(
        0.05,
        ge=0,
        le=1,
        description="part of users' repeatable jobs that are repeated; reported ones always are",
    )
    cross_validation_images: Words = Field(
        [], description="deterministic images, as `repository[:tag|@digest]` with `*`"
    )
    cross_validation_seconds: float = Field(
        60, gt=0, description="between repetitions of jobs on the trusted miner"
    )
    cross_validation_max_seconds: int = Field(
        600, ge=1, description="jobs whose time limits add up to more are not repeated"
    )

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
    manifest_change_seconds: float = Field(
        7200, ge=0, description="between changes of a miner's manifest that count for scoring"
    )
    tick_seconds: float = Field(12, gt=0, description="between checks for a due batch or weights")
    keep_days: int = Field(7, ge=1, description="how long jobs and their receipts are kept")
    cheat_exclusion_seconds: int = Field(
        14400,
        ge=0,
        description="for how long a miner gets no users' jobs after one with a false result",
    )
    evidence_keep_days: int = Field(
        90, ge=1, description="how long the evidence of false results is kept"
    )
    receipt_interval_seconds: float = Field(
        2, gt=0, description="between requests for a miner's receipt pages"
    )
    receipt_keep_days: int = Field(
        2, ge=1, description="how long receipts that miners published are kept"
    )
    excuse_min_stake_tao: int = Field(
        30_000, ge=0, description="of a validator whose users' jobs excuse a busy miner"
    )
    excuse_seconds: int = Field(
        600,
        ge=1,
        description="how long another validator's receipt excuses, without one for an interval",
    )
    receipt_min_stake: int = Field(
        1000, ge=0, description="TAO; receipts that neurons with less stake issued are not stored"
    )
    receipt_processes: int = Field(
        1, ge=1, le=64, description="processes that verify receipts, one core each"
    )

    class_weights: dict[ExecutorClass, Decimal] = CLASS_WEIGHTS
    formula: FormulaName = Field(FormulaName.JOBS, description="how miners are scored")
    scoring: dict[str, Any] = Field(
        {}, description='changes to the formula\'s parameters, as JSON: `{"burn": {"rate": 0.5}}`'
    )
    weights_version: int = Field(
        2, ge=0, description="version of our weights; the subnet may require one"
    )

    @property
    def reach(self) -> Reach:
        """The networks in which miners may be."""
        return Reach(networks=self.allowed_networks)

    @cached_property
    def hotkey(self) -> Keypair:
        """The validator's key."""
        return load_hotkey(self.hotkey_file)

    @model_validator(mode="after")
    def _has_trusted_port(self) -> "Config":
        if self.trusted_miner_address and not self.trusted_miner_port:
            raise ValueError(
                "VALIDATOR_TRUSTED_MINER_PORT is not set: the trusted miner at "
                f"{self.trusted_miner_address} needs the port it listens on (MINER_PORT there)"
            )
        return self

    @model_validator(mode="after")
    def _is_formula_complete(self) -> "Config":
        self.parameters()
        return self

    def parameters(self, limits: LimitParameters | None = None) -> ScoringParameters:
        """The parameters of scoring, with the chain's limits."""
        weights = {kind.value: weight for kind, weight in self.class_weights.items()}
        defaults = with_changes(DEFAULTS[self.formula], {"class_weights": weights})
        chosen = with_changes(defaults, self.scoring)
        return chosen.model_copy(update={"limits": limits or chosen.limits})

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
