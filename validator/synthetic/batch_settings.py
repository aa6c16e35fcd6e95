"""The settings of synthetic batches: which executors, which jobs, when, and what is probed."""

from decimal import Decimal
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, AliasChoices, Field, SecretStr

from compute_horde.configuration import ServiceSettings, Words
from compute_horde.hardware import ExecutorClass
from validator.llm.buckets import BucketAccess
from validator.llm.policy import LlmPolicy
from validator.synthetic.kinds.choices import KindChoice
from validator.synthetic.limits import LimitPolicy
from validator.synthetic.slots import SlotPolicy


def checked_addresses(given: list[str]) -> list[str]:
    """The addresses, each a host and a port; raises `ValueError` for anything else."""
    for address in given:
        parts = urlsplit(f"//{address}")
        if not parts.hostname or not parts.port or parts.netloc != address:
            raise ValueError(f"{address!r} is no address of the form `host:port`")
    return given


class BatchSettings(ServiceSettings):
    """The part of the validator's settings that synthetic batches read."""

    hash_image: str = Field(
        "computehorde/hash:v1", description="image of `hash`, for classes that batch_kinds lacks"
    )
    hash_candidates: int = Field(
        100, ge=1, description="numbers to search for each list of hashes, for the same classes"
    )
    hash_promised_seconds: float | None = Field(
        None,
        gt=0,
        description="how long `hash` takes an executor that keeps its promise, for the "
        "same classes; unset, efficiency is not measured",
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
    control_probes: Annotated[Words, AfterValidator(checked_addresses)] = Field(
        [],
        description="addresses outside as `host:port`, two or more, of parties that are not "
        "miners; when none takes connections, this validator's own network has failed",
    )
    control_seconds: float = Field(
        60, gt=0, description="between probes of registries, chain and network outside batches"
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
            "promised_seconds": self.hash_promised_seconds,
        }
        usual = [KindChoice(kind="hash", parameters=parameters)]
        return {one: self.batch_kinds.get(one, usual) for one in ExecutorClass}
