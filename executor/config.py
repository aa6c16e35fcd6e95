"""The settings of an executor and of the server that forks executors."""

import os
import shutil
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import Field, IPvAnyNetwork, SecretStr, field_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from compute_horde.addresses import Reach
from compute_horde.configuration import Settings
from compute_horde.hardware import ExecutorClass
from executor.images import registries

MIB = 2**20
GIB = 2**30


class PullPolicy(StrEnum):
    """When an image is fetched from its registry."""

    MISSING = "missing"
    ALWAYS = "always"
    NEVER = "never"

    @classmethod
    def _missing_(cls, value: object) -> "PullPolicy | None":
        return cls.MISSING if value == "if-missing" else None


class Config(Settings):
    """Settings of one process; every name is read from EXECUTOR_<NAME>."""

    model_config = SettingsConfigDict(env_prefix="EXECUTOR_", populate_by_name=True)

    miner_address: str = Field("ws://127.0.0.1:8000", description="the miner's ws:// address")
    token: SecretStr = Field(
        SecretStr(""),
        description="one-time token; a prefork server reads those of its children from stdin",
    )
    # `class` is no name for a field.
    executor_class: ExecutorClass | None = Field(
        None, validation_alias="EXECUTOR_CLASS", description="known ahead of the first job"
    )
    owner: str = Field("", description="label shared by the containers of one miner")
    work_dir: Path = Field(
        Path("/tmp/compute-horde"),  # noqa: S108
        description="holds job directories; the engine must see it at the same path",
    )
    docker_url: str | None = Field(None, description="the engine; default as the docker command")
    debug: bool = Field(False, description="log more")

    startup_seconds: float = Field(5, gt=0, description="checks before a job, besides spin-up")
    pull_policy: PullPolicy = Field(
        PullPolicy.MISSING,
        description="when images are fetched: `if-missing` (or `missing`), `always` or `never`",
    )
    pull_policies: dict[ExecutorClass, PullPolicy] = Field(
        {}, description='by class, above the policy for all: `{"always_on.test": "always"}`'
    )
    registries: Annotated[tuple[str, ...], NoDecode] = Field(
        registries.DEFAULT,
        description="where the images of jobs may come from, each `host[:port]` with `*`, or "
        "`http://…` for one without TLS; those you add by name may have private addresses",
    )
    local_images: Annotated[tuple[str, ...], NoDecode] = Field(
        ("computehorde/hash:v1", "computehorde/llm-prompts:v1", "computehorde/llm-solver:v1"),
        description="images of this machine that jobs may use though no registry has them, as "
        "`repository[:tag|@digest]` with `*`",
    )
    image_max_bytes: int | None = Field(
        None,
        gt=0,
        description="one image of a job, unpacked; default half of what its class may keep on disk",
    )
    images_disk_percent: int = Field(
        80,
        gt=0,
        le=100,
        description="use of the engine's disk above which fetched images that no job uses are "
        "removed, least recently used first",
    )
    allow_private_urls: bool = Field(
        False, description="let jobs download from and upload to private addresses (localnet)"
    )
    allowed_networks: Annotated[tuple[IPvAnyNetwork, ...], NoDecode] = Field(
        (), description="private networks that jobs may use all the same, such as `10.1.0.0/16`"
    )
    hub_url: str = Field(
        "https://huggingface.co", description="where volumes of Hugging Face repositories are"
    )
    hub_token: SecretStr | None = Field(
        None, description="sent to the hub for jobs without a token: they read what it may read"
    )
    allow_unconfined: bool = Field(False, description="work without seccomp; for development only")
    advisories_file: Path | None = Field(
        None, description="more known faults of engines than this release knows, signed"
    )
    advisories_signer: str = Field("", description="ss58 hotkey that signs `advisories_file`")
    accepted_advisories: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="CVEs that the operator knows to be fixed here, such as `CVE-2025-31133`"
    )
    nvidia_toolkit_version: str | None = Field(
        None, description="stated by the operator where the program itself is out of reach"
    )

    job_user: str | None = Field(None, description="uid[:gid] of every job, above the image's own")
    writable_root: bool = Field(False, description="let jobs write to their root file system")
    job_runtime: str = Field(
        "",
        description="engine runtime of jobs without GPU: empty for the engine's default, or `runc` "
        "where that is NVIDIA's; a name such as `runsc`; or `auto` for `runsc` where the engine "
        "has it",
    )
    gpu_runtime: str = Field("nvidia", description="engine runtime of GPU jobs; empty for its own")
    memory_bytes: int | None = Field(None, gt=0, description="memory of a job; default by class")
    cpus: float | None = Field(None, gt=0, description="processors of a job; default by class")
    pids: int | None = Field(
        None, gt=0, description="processes and threads of a job; default by class"
    )
    open_files: int | None = Field(
        None, gt=0, description="open files of one process; default as the engine's"
    )
    shm_bytes: int | None = Field(
        None, gt=0, description="size of /dev/shm, part of the memory; default by class"
    )
    tmp_bytes: int | None = Field(
        None, gt=0, description="size of /tmp and the like, part of memory; default by class"
    )

    streaming_host: str = Field("0.0.0.0", description="where streaming jobs are served")
    streaming_ports: str = Field(
        "6000-6999", description="ports for streaming jobs, one each; `0`: any that is free"
    )
    streaming_body_max_bytes: int = Field(
        2 * GIB, gt=0, description="one request to a streaming job"
    )
    relay_image: str = Field(
        "computehorde/relay:latest", description="leads into a streaming job's network"
    )

    volume_max_bytes: int = Field(2 * GIB, gt=0, description="one file or zip from a URL")
    unpacked_max_bytes: int | None = Field(
        None, gt=0, description="all inputs of a job, unpacked; default half of what it may keep"
    )
    upload_max_bytes: int = Field(2 * GIB, gt=0, description="one upload")
    disk_max_bytes: int | None = Field(
        None, gt=0, description="all a job may keep on disk; default by class"
    )
    disk_max_files: int | None = Field(
        None, gt=0, description="files a job may make, and hold open; default by class"
    )
    disk_reserve_bytes: int = Field(
        GIB, ge=0, description="free disk below which a job is stopped that may have taken it"
    )
    root_quota: bool = Field(
        False,
        description="let the engine bound writable roots (overlay2 on xfs with pquota, btrfs, zfs)",
    )
    log_max_bytes: int = Field(64 * MIB, gt=0, description="kept of stdout, and of stderr")

    @field_validator(
        "allowed_networks", "registries", "local_images", "accepted_advisories", mode="before"
    )
    @classmethod
    def _listed(cls, value: object) -> object:
        """Split a comma-separated text."""
        if not isinstance(value, str):
            return value
        return tuple(name.strip() for name in value.split(",") if name.strip())

    @field_validator("hub_url")
    @classmethod
    def _web_address(cls, value: str) -> str:
        if not value.startswith(("https://", "http://")):
            raise ValueError("must start with https:// or http://")
        return value.rstrip("/")

    def reach(self) -> Reach:
        """Which addresses the URLs of jobs may lead to."""
        return Reach(self.allow_private_urls, self.allowed_networks)

    def effective_pull_policy(self) -> PullPolicy:
        """The pull policy of the class that this executor serves."""
        if self.executor_class is None:
            return self.pull_policy
        return self.pull_policies.get(self.executor_class, self.pull_policy)

    def total_memory(self) -> int:
        """The machine's memory in bytes."""
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")

    def total_disk(self) -> int:
        """Size in bytes of the file system that holds the work directory."""
        there = next(path for path in (self.work_dir, *self.work_dir.parents) if path.exists())
        return shutil.disk_usage(there).total

    def processors(self) -> int:
        """The processors this process may use."""
        return len(os.sched_getaffinity(0))
