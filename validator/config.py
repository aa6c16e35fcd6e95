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
from compute_horde.configuration import DatabaseUrl, Port, ServiceSettings, Words, load, split_words
from compute_horde.django.forwarded import checked_proxies
from compute_horde.django.settings import SecretKey
from compute_horde.hardware import ExecutorClass
from validator.jobs.rules import ValidatorTiming
from validator.llm.buckets import BucketAccess
from validator.llm.policy import LlmPolicy
from validator.scoring.parameters import (
    DEFAULTS,
    FormulaName,
    LimitParameters,
    ScoringParameters,
    with_changes,
)
from validator.synthetic.kinds.choices import KindChoice
from validator.synthetic.limits import LimitPolicy
from validator.synthetic.slots import SlotPolicy

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
        description="part of users' repeatable jobs that the trusted miner repeats",
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
        14400, ge=0, description="for how long a miner gets no users' jobs after a false result"
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

    hash_image: str = Field(
        "computehorde/hash:v1", description="image of `hash`, for classes that batch_kinds lacks"
    )
    hash_candidates: int = Field(
        100, ge=1, description="numbers to search for each list of hashes, for the same classes"
    )
    hash_seconds: int = Field(60, ge=1, description="time limit of `hash`, for the same classes")
    batch_kinds: dict[ExecutorClass, Annotated[list[KindChoice], Field(min_length=1)]] = Field(
        {},
        description="kinds of synthetic jobs by class, as JSON: "
        '{"always_on.test": [{"kind": "hash", "share": 1, "parameters": {"version": 2}}]}',
    )
    llm: LlmPolicy = Field(
        LlmPolicy(), description='prompts and answers for the kind `llm`, as JSON: `{"model": …}`'
    )
    s3_bucket_name_prompts: str = Field("", validation_alias="S3_BUCKET_NAME_PROMPTS")
    s3_bucket_name_answers: str = Field("", validation_alias="S3_BUCKET_NAME_ANSWERS")
    aws_access_key_id: str = Field("", validation_alias="AWS_ACCESS_KEY_ID")
    aws_secret_access_key: SecretStr = Field(
        SecretStr(""), validation_alias="AWS_SECRET_ACCESS_KEY"
    )
    aws_endpoint_url: str = Field(
        "", validation_alias="AWS_ENDPOINT_URL", description="of a server of S3 that is not AWS"
    )
    aws_region: str = Field("", validation_alias=AliasChoices("AWS_REGION", "AWS_DEFAULT_REGION"))
    aws_signature_version: str = Field("s3v4", validation_alias="AWS_SIGNATURE_VERSION")
    manifest_timeout_seconds: float = Field(
        7, gt=0, description="for one miner's manifest, and for its connection in a batch"
    )
    batch_set_size: int = Field(24, ge=1, description="validators that share a cycle")
    batch_set_stake_tao: Decimal = Field(
        Decimal(1000), ge=0, description="the stake from which a validator is one of them"
    )
    batch_outside_set: bool = Field(
        False, description="run batches without being one of them, or without a validator permit"
    )
    batch_offset_blocks: int = Field(
        24, ge=0, lt=722, description="of a cycle of 722 blocks, before the first batch"
    )
    batch_tolerance_blocks: int | None = Field(
        None, ge=0, description="how late a batch may start; unset, half of the way to the next"
    )
    most_executors_per_class: int = Field(
        32, ge=1, description="of a miner's executors of one class only so many count"
    )
    executor_caps: dict[ExecutorClass, Annotated[int, Field(ge=0)]] = Field(
        {ExecutorClass.always_on__llm__a6000: 2},
        description="the same for single classes, as JSON",
    )
    missed_peak_executors: dict[ExecutorClass, Annotated[int, Field(ge=0)]] = Field(
        {ExecutorClass.always_on__llm__a6000: 2},
        description="tested outside the peak cycle if the miner had none in it; 1 if not listed",
    )
    non_peak_ratio: Decimal = Field(
        Decimal("0.1"), gt=0, le=1, description="part of executors tested outside the peak cycle"
    )
    new_miner_cycles: int = Field(2, ge=0, description="for how many cycles a miner is new")
    new_miner_time_factor: int = Field(
        2, ge=1, le=10, description="time limits of new miners are so many times as long"
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
        if self.formula is FormulaName.ALLOWANCE:
            raise ValueError(
                "the formula `allowance` cannot be used yet: this validator does not collect the "
                "blocks that receipts are paid with; use `jobs` or `seconds`"
            )
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

    @property
    def slot_policy(self) -> SlotPolicy:
        """Which validators have slots in a cycle, and where."""
        return SlotPolicy(
            self.batch_set_size,
            int(self.batch_set_stake_tao * 10**9),
            self.batch_offset_blocks,
            self.batch_tolerance_blocks,
            self.batch_outside_set,
        )

    @property
    def limit_policy(self) -> LimitPolicy:
        """How many executors of a miner a batch tests."""
        return LimitPolicy(
            self.most_executors_per_class,
            self.executor_caps,
            self.missed_peak_executors,
            self.non_peak_ratio,
            self.new_miner_cycles,
        )

    @property
    def bucket_access(self) -> BucketAccess:
        """How the buckets of prompts and answers are reached."""
        return BucketAccess(
            self.s3_bucket_name_prompts,
            self.s3_bucket_name_answers,
            self.aws_access_key_id,
            self.aws_secret_access_key.get_secret_value(),
            self.aws_endpoint_url,
            self.aws_region,
            self.aws_signature_version,
        )

    @property
    def kinds(self) -> dict[ExecutorClass, list[KindChoice]]:
        """The kinds of synthetic jobs of every class."""
        parameters = {
            "image": self.hash_image,
            "candidates": self.hash_candidates,
            "seconds": self.hash_seconds,
        }
        usual = [KindChoice(kind="hash", parameters=parameters)]
        return {one: self.batch_kinds.get(one, usual) for one in ExecutorClass}


config = load(Config)
