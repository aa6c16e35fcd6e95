"""Everything the environment may say to the miner."""

import os
from ipaddress import IPv4Address
from pathlib import Path
from secrets import token_urlsafe
from typing import Annotated

from pydantic import AliasChoices, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from compute_horde.hardware import ExecutorClass


class Config(BaseSettings):
    """Every setting, as `MINER_<NAME>`; all have a default that is safe to run with."""

    model_config = SettingsConfigDict(
        env_prefix="MINER_", env_file=".env", extra="ignore", frozen=True, populate_by_name=True
    )

    secret_key: SecretStr = Field(
        default_factory=lambda: SecretStr(token_urlsafe(40)),
        description="signs admin sessions; unset, they end when the process does",
    )
    database_url: SecretStr = Field(
        SecretStr("postgresql://postgres@127.0.0.1:5432/miner"),
        validation_alias=AliasChoices("MINER_DATABASE_URL", "DATABASE_URL"),
        description="PostgreSQL, and who we are there",
    )
    hotkey_file: Path = Field(
        Path("~/.bittensor/wallets/default/hotkeys/default"),
        description="unencrypted Bittensor hotkey file",
    )
    host: str = Field("0.0.0.0", description="the address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="the one port, announced on the chain")
    debug: bool = Field(False, description="log more; Django's error pages")
    admin_user: str = Field("admin", description="made by `seed`")
    admin_password: SecretStr | None = Field(None, description="`seed` makes no admin without it")

    chain_url: str | None = Field(None, description="node of the chain; unset, keep stays off it")
    netuid: int = Field(12, ge=0, description="the subnet")
    serving: bool = Field(True, description="whether to announce our address on the chain")
    external_ip: IPv4Address | None = Field(None, description="announced address; unset: detected")
    external_port: int | None = Field(None, description="announced port when not `port`")
    minimum_stake: float = Field(1000, description="TAO a validator needs to be heard")
    validator_count: int = Field(24, description="how many validators, by stake, are heard")
    validators: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="hotkeys heard whatever the chain says; JSON or comma separated"
    )
    refresh_seconds: float = Field(60, gt=0, description="how often the chain is looked at")
    announce_seconds: float = Field(1800, gt=0, description="how often our address is announced")
    trusted: bool = Field(
        False, description="serve one validator as its trusted miner: no hotkey of our own checked"
    )
    main_hotkey: str | None = Field(None, description="the answer to a main hotkey query")

    check_receipts: bool = Field(True, description="refuse jobs whose receipt is not right")
    require_validator_signature: bool = Field(
        False, description="refuse job requests that the validator did not sign itself"
    )
    publish_receipts: bool = Field(True, description="serve /receipts/<page>.jsonl")

    executor_manager: str = Field("local", description="`local`, `docker` or `module:Class`")
    executors: dict[ExecutorClass, Annotated[int, Field(ge=0)]] = Field(
        default={ExecutorClass.always_on__test: 1}, description="how many executors per class"
    )
    executor_image: str = Field(
        "computehorde/executor:latest", description="what the docker manager runs"
    )
    docker_servers: Path | None = Field(None, description="YAML file of executor hosts")
    docker_host: str = Field(
        "unix:///var/run/docker.sock",
        validation_alias=AliasChoices("MINER_DOCKER_HOST", "DOCKER_HOST"),
        pattern="^unix://.",
        description="the local container engine",
    )
    executor_miner_address: str | None = Field(
        None, description="ws:// address of this miner as executors see it"
    )
    executor_address: str | None = Field(
        None, description="public address of the executors, for streaming jobs"
    )
    streaming_images: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="images that may serve users, as `repository[:tag|@digest]` with `*`"
    )
    owner: str | None = Field(None, description="label of our containers; unset: the hotkey")
    work_dir: Path = Field(
        Path("/var/tmp/compute_horde"),  # noqa: S108
        description="where executors keep the files of their jobs",
    )
    startup_seconds: int = Field(5, description="executor checks before it is ready")
    start_seconds: float = Field(30, description="how long an always-on executor may take to start")
    grace_seconds: float = Field(30, description="beyond its budget before a job is ended")

    shutdown_seconds: float = Field(2.5, description="how long jobs may go on after SIGTERM")

    retention_days: int = Field(2, ge=1, description="how long jobs and receipts are kept")
    resend_seconds: int = Field(3600, description="how long after its end a job is told again")
    reject_seconds: float = Field(5, description="how long a refused socket is held open")
    strangers_per_address: int = Field(32, description="sockets of one address not logged in")

    @field_validator("validators", "streaming_images", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        """A JSON list or names separated by commas."""
        if not isinstance(value, str):
            return value
        bare = value.strip("[] ").replace(chr(34), "")
        return tuple(name.strip() for name in bare.split(",") if name.strip())

    @property
    def docker_socket(self) -> Path:
        """Where the local container engine listens."""
        return Path(self.docker_host.removeprefix("unix://"))

    @property
    def executors_see_us_at(self) -> str:
        """The address executors connect to."""
        return self.executor_miner_address or f"ws://127.0.0.1:{self.port}"


def name_settings() -> None:
    """Tell Django which settings are ours, unless it was told before."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "miner.settings")  # noqa: TID251


def child_environment(**extra: str) -> dict[str, str]:
    """Our environment without our own secrets, and `extra`: what a child process is given."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("MINER_")}  # noqa: TID251
    return {k: v for k, v in kept.items() if k != "DATABASE_URL"} | extra


def executor_environment() -> dict[str, str]:
    """Settings of executors among our own, for those that are no children of ours."""
    return {k: v for k, v in os.environ.items() if k.startswith("EXECUTOR_")}  # noqa: TID251


config = Config()
