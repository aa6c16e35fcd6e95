"""First stage: is this machine safe to work on, and is the image here?"""

import asyncio
import logging
import re
from pathlib import Path

from compute_horde.errors import ConfigurationError, HordeError, JobError
from compute_horde.hardware import PROMISES, ExecutorClass
from compute_horde.vocabulary import FailureReason, HordeReason
from executor.config import Config, PullPolicy
from executor.containers import Engine, Image, tagged
from executor.progress import Tell, silent

log = logging.getLogger(__name__)

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
TOOLKIT = ("nvidia-container-toolkit", "--version")
TOOLKIT_SECONDS = 5
AUTO = "auto"
GVISOR = "runsc"
# The first release without CVE-2024-0132 and CVE-2025-23359.
SAFE_TOOLKIT = (1, 17, 4)


async def image(name: str, engine: Engine, policy: PullPolicy, *, tell: Tell = silent) -> Image:
    """The job's image, fetched when the policy says so."""
    wanted = tagged(name)
    found = await engine.image(wanted)
    if policy is PullPolicy.NEVER and found is None:
        detail = f"Image {name!r} is not on this machine, which fetches none"
        raise JobError(FailureReason.DOWNLOAD_FAILED, detail)
    if found is None or policy is PullPolicy.ALWAYS:
        await engine.pull(wanted, tell)
        found = await engine.image(wanted)
    if found is None:
        raise HordeError(HordeReason.GENERIC_ERROR, f"Image {name!r} vanished after its fetch")
    log.info("image ready", extra={"image": wanted, "digest": found.digest})
    return found


async def machine(engine: Engine, config: Config) -> None:
    """All that can be checked before a job is here."""
    await confinement(engine, config)
    if config.executor_class is not None:
        await gpu_toolkit(config.executor_class, config)


async def confinement(engine: Engine, config: Config) -> None:
    """Refuse an engine without seccomp: with it, no job can make the user namespaces and
    cgroup mounts that escapes such as CVE-2022-0492 need. Asked once per boot."""
    if config.allow_unconfined or _is_cleared("seccomp", config):
        return
    options = await engine.security_options()
    if not any(o.startswith("name=seccomp") and "unconfined" not in o for o in options):
        raise _unsafe("the container engine does not confine containers with seccomp")
    _clear("seccomp", config)


async def settled(config: Config, engine: Engine) -> Config:
    """The settings with the runtime that jobs get here; an engine without it is refused."""
    if not config.job_runtime:
        return config
    known = await engine.runtimes()
    if config.job_runtime == AUTO:
        return config.model_copy(update={"job_runtime": GVISOR if GVISOR in known else ""})
    if config.job_runtime not in known:
        raise ConfigurationError(
            f"EXECUTOR_JOB_RUNTIME is {config.job_runtime!r}, which the container engine does not "
            f"have: install it and name it in the engine's daemon.json, or set one of "
            f"{', '.join(known)}"
        )
    return config


async def gpu_toolkit(executor_class: ExecutorClass, config: Config) -> None:
    """Refuse to share a GPU through a container toolkit that jobs can escape from."""
    if not PROMISES[executor_class].gpu or _is_cleared("toolkit", config):
        return
    said = config.nvidia_toolkit_version or await _toolkit_version()
    found = version(said)
    if found is None or found < SAFE_TOOLKIT:
        raise _unsafe(f"nvidia-container-toolkit is {said or 'not found'}, 1.17.4 is needed")
    _clear("toolkit", config)


async def _toolkit_version() -> str:
    try:
        asked = await asyncio.create_subprocess_exec(
            *TOOLKIT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
        async with asyncio.timeout(TOOLKIT_SECONDS):
            said, _ = await asked.communicate()
    except (OSError, TimeoutError):
        return ""
    return said.decode(errors="replace").splitlines()[0] if said else ""


def version(text: str) -> tuple[int, ...] | None:
    """The first three-part version number in a text."""
    found = re.search(r"(\d+)\.(\d+)\.(\d+)", text)
    return tuple(map(int, found.groups())) if found else None


def _unsafe(detail: str) -> HordeError:
    return HordeError(HordeReason.SECURITY_CHECK_FAILED, f"Security check failed: {detail}")


def _mark(check: str, config: Config) -> Path:
    return config.work_dir / f"cleared-{check}-{BOOT_ID.read_text().strip()}"


def _is_cleared(check: str, config: Config) -> bool:
    try:
        return _mark(check, config).exists()
    except OSError as exc:
        raise ConfigurationError(f"EXECUTOR_WORK_DIR is not usable: {exc}") from exc


def _clear(check: str, config: Config) -> None:
    """Remember until the next boot; not worth a job when it cannot be written."""
    try:
        _mark(check, config).touch()
    except OSError as exc:
        log.warning("security check not remembered", extra={"problem": str(exc)})
