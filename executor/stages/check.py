"""Checks that this machine can run untrusted jobs safely."""

import asyncio
import hashlib
import logging
from contextlib import suppress
from pathlib import Path

from compute_horde.errors import ConfigurationError, HordeError
from compute_horde.hardware import PROMISES, ExecutorClass
from compute_horde.vocabulary import HordeReason
from executor.config import Config
from executor.sandbox import advisories
from executor.sandbox.advisories import Advisory, RefusedJobs
from executor.sandbox.engine import Engine

log = logging.getLogger(__name__)

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
TOOLKIT = ("nvidia-container-toolkit", "--version")
TOOLKIT_SECONDS = 5
AUTO = "auto"
GVISOR = "runsc"
RUNC = "runc"


async def check_machine(engine: Engine, config: Config) -> None:
    """Run all checks that need no job; raises `HordeError` when one fails."""
    await check_confinement(engine, config)
    await check_advisories(engine, config, config.executor_class)
    if config.executor_class is not None:
        await check_gpu_toolkit(config.executor_class, config)


async def check_advisories(
    engine: Engine, config: Config, executor_class: ExecutorClass | None
) -> None:
    """Raise `HordeError` when the engine has a known vulnerability that forbids this class of jobs.

    A vulnerability forbids all jobs, or those that get a GPU.
    """
    accepted = config.accepted_advisories
    found = advisories.applicable(_advisories(config), await engine.components(), accepted)
    gpu = executor_class is not None and PROMISES[executor_class].gpu
    for one in found:
        if gpu or one.refused is RefusedJobs.EVERYTHING:
            raise unsafe(
                f"{one.component} of the container engine has {one.id}: update it to "
                f"{' or '.join(one.fixed)}, or name it in EXECUTOR_ACCEPTED_ADVISORIES"
            )
        log.warning(
            "the container engine has a known fault: no GPU jobs on it",
            extra={"component": one.component, "advisory": one.id, "fixed": one.fixed},
        )


def _advisories(config: Config) -> tuple[Advisory, ...]:
    if not config.advisories_file:
        return advisories.BUILT_IN
    more = advisories.signed_file(config.advisories_file, config.advisories_signer)
    return (*advisories.BUILT_IN, *more)


async def check_confinement(engine: Engine, config: Config) -> None:
    """Raise `HordeError` for an engine without seccomp; asked once per boot.

    With seccomp, no job can make the user namespaces and cgroup mounts that escapes such as
    CVE-2022-0492 need.
    """
    if config.allow_unconfined or has_passed("seccomp", config):
        return
    options = await engine.security_options()
    if not any(o.startswith("name=seccomp") and "unconfined" not in o for o in options):
        raise unsafe("the container engine does not confine containers with seccomp")
    mark_passed("seccomp", config)


async def with_job_runtime(config: Config, engine: Engine) -> Config:
    """The settings with the container runtime that jobs get on this engine.

    Raises `ConfigurationError` when the engine does not have the configured runtime.
    """
    if not config.job_runtime:
        return await _without_nvidia_default(config, engine)
    known = await engine.runtimes()
    if config.job_runtime == AUTO:
        if GVISOR in known:
            return config.model_copy(update={"job_runtime": GVISOR})
        return await _without_nvidia_default(config.model_copy(update={"job_runtime": ""}), engine)
    if config.job_runtime not in known:
        raise ConfigurationError(
            f"EXECUTOR_JOB_RUNTIME is {config.job_runtime!r}, which the container engine does not "
            f"have: install it and name it in the engine's daemon.json, or set one of "
            f"{', '.join(known)}"
        )
    return config


async def _without_nvidia_default(config: Config, engine: Engine) -> Config:
    """The settings with `runc` for jobs without GPU where the engine's default is NVIDIA's runtime.

    NVIDIA's runtime gives GPUs and the machine's hooks to any image whose environment asks for
    them. Raises `ConfigurationError` when the engine has no `runc`.
    """
    if not any("nvidia" in text.lower() for text in await engine.default_runtime()):
        return config
    if RUNC not in await engine.runtimes():
        raise ConfigurationError(
            "the container engine's default runtime is NVIDIA's, which gives GPUs to jobs without: "
            "name another one in EXECUTOR_JOB_RUNTIME, or in the engine's daemon.json"
        )
    return config.model_copy(update={"job_runtime": RUNC})


async def check_gpu_toolkit(executor_class: ExecutorClass, config: Config) -> None:
    """Raise `HordeError` for GPU jobs when the container toolkit has a known vulnerability."""
    if not PROMISES[executor_class].gpu:
        return
    table = _advisories(config)
    # A changed list of advisories is checked again.
    mark = f"toolkit-{hashlib.sha256(repr(table).encode()).hexdigest()[:8]}"
    if has_passed(mark, config):
        return
    version = config.nvidia_toolkit_version or await _toolkit_version()
    if not version:
        raise unsafe(f"{advisories.TOOLKIT} was not found")
    versions, accepted = {advisories.TOOLKIT: version}, config.accepted_advisories
    if found := advisories.applicable(table, versions, accepted):
        needed = " and ".join(" or ".join(one.fixed) for one in found)
        raise unsafe(f"{advisories.TOOLKIT} is {version[:200]}, {needed} is needed")
    mark_passed(mark, config)


async def _toolkit_version() -> str:
    try:
        process = await asyncio.create_subprocess_exec(
            *TOOLKIT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
        async with asyncio.timeout(TOOLKIT_SECONDS):
            stdout, _ = await process.communicate()
    except (OSError, TimeoutError):
        return ""
    return stdout.decode(errors="replace").splitlines()[0] if stdout else ""


def unsafe(detail: str) -> HordeError:
    """The error for a machine that must not run jobs."""
    return HordeError(HordeReason.SECURITY_CHECK_FAILED, f"Security check failed: {detail}")


def _passed_file(check: str, config: Config) -> Path:
    return config.work_dir / f"passed-{check}-{BOOT_ID.read_text().strip()}"


def has_passed(check: str, config: Config) -> bool:
    """Whether this check has passed since the last boot.

    Raises `ConfigurationError` when the work directory cannot be read.
    """
    try:
        return _passed_file(check, config).exists()
    except OSError as exc:
        raise ConfigurationError(f"EXECUTOR_WORK_DIR is not usable: {exc}") from exc


def mark_passed(check: str, config: Config) -> None:
    """Remember until the next boot that a check passed; a failure to write is only logged."""
    try:
        _passed_file(check, config).touch()
    except OSError as exc:
        log.warning(
            "security check not remembered, repeated next time", extra={"problem": str(exc)}
        )


def forget(check: str, config: Config) -> None:
    """Forget that checks passed whose names begin with `check`."""
    for mark in config.work_dir.glob(f"passed-{check}*"):
        with suppress(OSError):
            mark.unlink()
