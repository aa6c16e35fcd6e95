"""The settings of the miner, read from the environment."""

import os
from decimal import Decimal
from ipaddress import IPv4Address
from pathlib import Path
from secrets import token_urlsafe
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    AliasChoices,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)
from pydantic_settings import NoDecode, SettingsConfigDict

from compute_horde.configuration import DatabaseUrl, Port, ServiceSettings, load
from compute_horde.django.forwarded import checked_proxies
from compute_horde.django.settings import SecretKey
from compute_horde.hardware import ExecutorClass
from compute_horde.signing import address_problem
from miner.hotkeys.rules import Division


class Config(ServiceSettings):
    """The miner's settings, each an environment variable with the prefix `MINER_`.

    Every setting has a default that is safe to run with.
    """

    model_config = SettingsConfigDict(env_prefix="MINER_", populate_by_name=True)

    secret_key: SecretKey = Field(
        default_factory=lambda: SecretStr(token_urlsafe(40)),
        description="signs sessions of the admin site; unset, they end with the process",
    )
    database_url: DatabaseUrl = Field(
        SecretStr("postgresql://postgres@127.0.0.1:5432/miner"),
        validation_alias=AliasChoices("MINER_DATABASE_URL", "DATABASE_URL"),
        description="postgresql://user:password@host:port/name",
    )
    hotkey_file: Path = Field(
        Path("~/.bittensor/wallets/default/hotkeys/default"),
        description="unencrypted Bittensor hotkey file",
    )
    host: str = Field("0.0.0.0", description="the address to listen on")
    port: Port = Field(8000, description="the public port, announced on the chain")
    trusted_proxies: Annotated[tuple[str, ...], NoDecode, AfterValidator(checked_proxies)] = Field(
        (), description="addresses or networks whose X-Forwarded-For and -Proto are believed"
    )
    max_connections: int = Field(4096, gt=0, description="open at once, in all")
    max_connections_per_address: int = Field(
        256, gt=0, description="open at once and not logged in, of one address or IPv6 /64"
    )
    max_connections_per_validator: int = Field(
        512, gt=0, description="open at once of one validator; at most an eighth of all"
    )
    https: bool = Field(
        False, description="browsers reach the admin by https only, through a trusted proxy"
    )
    admin_host: str = Field("127.0.0.1", description="the address that the admin listens on")
    admin_port: Port = Field(
        8002, description="the port of the admin and of /metrics, not announced"
    )
    debug: bool = Field(False, description="log more; Django's error pages")
    admin_user: str = Field("admin", description="the admin account that `seed` makes")
    admin_password: SecretStr | None = Field(
        None, description="unset, `seed` makes no admin account"
    )

    chain_url: str | None = Field(
        None,
        description="address of a node of the chain; of several, separated by commas, the first "
        "that is up and not behind is used; unset, `keep` does not use the chain",
    )
    netuid: int = Field(12, ge=0, description="the subnet")
    serving: bool = Field(True, description="whether the address is announced on the chain")
    external_ip: IPv4Address | None = Field(
        None, description="the announced address; unset: detected"
    )
    external_port: Port | None = Field(None, description="the announced port, if it is not `port`")
    minimum_stake: float = Field(1000, description="TAO that a validator must have staked")
    validator_count: int = Field(
        24, description="at most so many validators are accepted, by stake"
    )
    validators: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="hotkeys accepted whatever their stake; JSON or comma separated"
    )
    refresh_seconds: float = Field(60, gt=0, description="between reads of the metagraph")
    announce_seconds: float = Field(1800, gt=0, description="between announcements of the address")
    trusted: bool = Field(
        False,
        description="serve the one validator of `validators` as its trusted miner: no chain, no "
        "receipts, and the miner's hotkey is not checked",
    )
    other_hotkeys: dict[Path, Port] = Field(
        {},
        description="further hotkeys of the same coldkey that share the executors: for each hotkey "
        "file the port that is announced for it",
    )
    main_hotkeys: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        validation_alias=AliasChoices("MINER_MAIN_HOTKEYS", "MINER_MAIN_HOTKEY"),
        description="the main hotkeys of the coldkey, in turn: the answer to queries for it; "
        "unset, always the hotkey of `hotkey_file`",
    )
    main_hotkey_cycles: int = Field(
        1, ge=1, description="for how many cycles each of them is the main one"
    )
    division: Division = Field(
        Division.EVENLY,
        description="which hotkeys offer the executors: all `evenly`, or only the `main` one",
    )

    costs: dict[ExecutorClass, Annotated[Decimal, Field(ge=0, lt=10**12)]] = Field(
        {},
        description="what an hour of an executor's work costs you, by class, in the subnet's alpha;"
        " a class that earns less is not offered",
    )
    prices: dict[ExecutorClass, Annotated[Decimal, Field(ge=0, lt=10**12)]] = Field(
        {},
        description="what an hour of an executor's work earns, by class, in alpha; unset, it is "
        "measured",
    )
    score_urls: dict[str, str] = Field(
        {},
        description="where validators publish their scores: the base URL of each, by hotkey",
    )
    score_seconds: float = Field(1800, gt=0, description="between reads of those scores")

    check_receipts: bool = Field(True, description="decline jobs whose started receipt is invalid")
    require_validator_signature: bool = Field(
        False, description="refuse job requests without a signature of the validator"
    )
    publish_receipts: bool = Field(True, description="serve /receipts/<page>.jsonl")

    executor_manager: str = Field("local", description="`local`, `docker` or `module:Class`")
    executors: dict[ExecutorClass, Annotated[int, Field(ge=0)]] = Field(
        default={ExecutorClass.always_on__test: 1}, description="how many executors per class"
    )
    executor_image: str = Field(
        "computehorde/executor:latest", description="the image that the `docker` manager runs"
    )
    docker_servers: Path | None = Field(None, description="YAML file of executor hosts")
    docker_host: str = Field(
        "unix:///var/run/docker.sock",
        validation_alias=AliasChoices("MINER_DOCKER_HOST", "DOCKER_HOST"),
        pattern="^unix://.",
        description="the local container engine",
    )
    executor_miner_address: str | None = Field(
        None, description="ws:// address at which executors reach this miner"
    )
    executor_address: str | None = Field(
        None, description="public address of the executors, for streaming jobs"
    )
    streaming_images: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="images that may serve users, as `repository[:tag|@digest]` with `*`"
    )
    owner: str | None = Field(
        None, description="label of this miner's containers; unset: the hotkey"
    )
    work_dir: Path = Field(
        Path("/var/tmp/compute_horde"),  # noqa: S108
        description="where executors keep the files of their jobs",
    )
    startup_seconds: int = Field(5, description="time for an executor's checks before it is ready")
    start_seconds: float = Field(30, description="how long an always-on executor may take to start")
    grace_seconds: float = Field(
        30, description="added to the time budget of a job before it is ended"
    )

    shutdown_seconds: float = Field(2.5, description="how long jobs may continue after SIGTERM")

    retention_days: int = Field(2, ge=1, description="how long jobs and receipts are kept")
    resend_seconds: int = Field(
        3600, description="for how long after its end a job is reported again"
    )
    reject_seconds: float = Field(5, description="how long a refused connection is held open")
    strangers_per_address: int = Field(
        32, description="connections of one address that are not logged in"
    )

    @field_validator(
        "validators", "streaming_images", "trusted_proxies", "main_hotkeys", mode="before"
    )
    @classmethod
    def _split(cls, value: object) -> object:
        """Parse a JSON list, or names separated by commas."""
        if not isinstance(value, str):
            return value
        bare = value.strip("[] ").replace(chr(34), "")
        return tuple(name.strip() for name in bare.split(",") if name.strip())

    @field_validator("main_hotkeys")
    @classmethod
    def _are_hotkeys(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for hotkey in value:
            if why := address_problem(hotkey):
                raise ValueError(
                    f"{hotkey!r} {why}; validators would be told it: give the SS58 addresses of "
                    "your hotkeys, separated by commas"
                )
        return value

    @model_validator(mode="after")
    def _has_one_validator(self) -> Self:
        if self.trusted and len(self.validators) != 1:
            raise ValueError(
                "MINER_TRUSTED is set: set MINER_VALIDATORS to the hotkey of the one validator "
                f"that this miner works for; it has {len(self.validators)} now"
            )
        return self

    @property
    def docker_socket(self) -> Path:
        """The unix socket of the local container engine."""
        return Path(self.docker_host.removeprefix("unix://"))

    @property
    def address_for_executors(self) -> str:
        """The address that executors connect to."""
        return self.executor_miner_address or f"ws://127.0.0.1:{self.port}"


def child_environment(**extra: str) -> dict[str, str]:
    """The environment of a child process: without the miner's settings and secrets.

    `extra` is added to it.
    """
    kept = {k: v for k, v in os.environ.items() if not k.startswith("MINER_")}  # noqa: TID251
    return {k: v for k, v in kept.items() if k != "DATABASE_URL"} | extra


def executor_environment() -> dict[str, str]:
    """The settings of executors, for those that are not child processes of the miner."""
    return {k: v for k, v in os.environ.items() if k.startswith("EXECUTOR_")}  # noqa: TID251


config = load(Config)
