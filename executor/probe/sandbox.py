"""Tests in a probe container, specified like a job's, whether the confinement of jobs works."""

import asyncio
import fcntl
import hashlib
import io
import json
import logging
import os
import tarfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

from compute_horde.container_names import probe_container
from compute_horde.errors import ContainerError, JobError
from compute_horde.protocol.job import JobPayload
from compute_horde.vocabulary import GpuPreset
from executor.config import Config
from executor.images.engine_images import EngineImages
from executor.probe import elf, protections
from executor.sandbox import container_spec, resource_limits
from executor.sandbox.container import Container, EngineError, remove_created
from executor.sandbox.engine import ContainerSpec, Engine, Image
from executor.sandbox.workdir import WorkDir
from executor.stages import check

log = logging.getLogger(__name__)

PROGRAM = "probe"
NO_JOB = "00000000-0000-0000-0000-000000000000"
# Time limit of the probe, below the time in which an executor must be ready.
SECONDS = 3
REMOVAL_SECONDS = 10
LOOK_AGAIN_SECONDS = 0.05
LOCK = "sandbox.lock"
NOT_PROBED = "confinement of jobs not tested, only versions checked"
# Other runtimes may give a job a kernel of its own, in which it is allowed more.
KNOWN_RUNTIMES = frozenset({"", "runc", "crun", "nvidia"})

Hold = Callable[["asyncio.Task[Container]"], None]


class NotProbedError(Exception):
    """The probe could not run, so that nothing is known about the protections."""


async def check_sandbox(
    engine: Engine, work: WorkDir, config: Config, *, executor_id: str, hold: Hold
) -> None:
    """Raise `HordeError` when containers of the engine are not confined as jobs must be.

    Tested once for all executors of a work directory, until the next boot, another version of the
    engine or another start of the miner. `hold` is called with the task that creates the container,
    so that it is removed whatever happens. When the probe cannot run, this is logged, and only the
    checks of versions protect the machine.
    """
    if config.allow_unconfined:
        return
    mark = await _check_name(engine, config)
    if check.has_passed(mark, config):
        return
    async with _exclusively(config):
        if check.has_passed(mark, config):
            return
        try:
            async with asyncio.timeout(SECONDS):
                broken = await _run_probe(engine, work, config, executor_id, hold)
        except TimeoutError:
            log.warning(NOT_PROBED, extra={"problem": f"no answer within {SECONDS} s; again later"})
            return
        except NotProbedError as exc:
            broken = {}
            log.warning(NOT_PROBED, extra={"problem": str(exc)})
        if broken:
            remedies = "; ".join(dict.fromkeys(broken.values()))
            names = ", ".join(broken)
            raise check.unsafe(
                f"containers of jobs lack these protections: {names}. What to do: {remedies}"
            )
        check.mark_passed(mark, config)


async def _check_name(engine: Engine, config: Config) -> str:
    asked = (config.writable_root, config.job_user, config.job_runtime, os.getuid())
    about = json.dumps([await engine.components(), repr(asked)], sort_keys=True)
    return f"sandbox-{hashlib.sha256(about.encode()).hexdigest()[:16]}"


@asynccontextmanager
async def _exclusively(config: Config) -> AsyncIterator[None]:
    """Lock the work directory's probe: one executor tests, the others wait for its result."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    file = os.open(config.work_dir / LOCK, flags, 0o600)
    try:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(LOOK_AGAIN_SECONDS)
        yield
    finally:
        os.close(file)


async def _run_probe(
    engine: Engine, work: WorkDir, config: Config, executor_id: str, hold: Hold
) -> dict[str, str]:
    if config.job_runtime not in KNOWN_RUNTIMES:
        raise NotProbedError(f"{config.job_runtime} may give jobs a kernel of its own")
    expected = protections.expected(writable_root=config.writable_root)
    async with probe_image(engine, expected) as image:
        made = probe_container_spec(image, work, config, executor_id=executor_id)
        printed = await probe_output(engine, made, hold)
    try:
        return protections.missing_protections(expected, printed)
    except ValueError as exc:
        raise NotProbedError(f"the output of the probe is not usable: {exc}") from exc


@asynccontextmanager
async def probe_image(
    engine: Engine, expected: tuple[protections.Protection, ...]
) -> AsyncIterator[Image]:
    """An image that holds only the probe; removed afterwards."""
    machine = (await EngineImages(engine).platform()).architecture
    if machine not in elf.NUMBERS:
        raise NotProbedError(f"there is no probe for {machine}")
    program = elf.program(machine, protections.calls_of(expected))
    images = EngineImages(engine)
    try:
        image_id = await images.import_image(_root(program), "USER 0")
    except EngineError as exc:
        if exc.status:
            raise NotProbedError(f"its image cannot be made: {exc.detail[:200]}") from exc
        raise
    try:
        image = await engine.image(image_id)
        if image is None:
            raise NotProbedError("its image was removed again at once")
        yield image
    finally:
        try:
            async with asyncio.timeout(REMOVAL_SECONDS):
                await images.remove(image_id)
        except (ContainerError, TimeoutError) as exc:
            log.warning("image of the probe not removed", extra={"problem": str(exc)})


def _root(program: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as root:
        folder = tarfile.TarInfo(protections.OPEN_FOLDER)
        folder.type, folder.mode = tarfile.DIRTYPE, 0o777
        root.addfile(folder)
        file = tarfile.TarInfo(PROGRAM)
        file.size, file.mode = len(program), 0o755
        root.addfile(file, io.BytesIO(program))
    return packed.getvalue()


def probe_container_spec(
    image: Image, work: WorkDir, config: Config, *, executor_id: str
) -> ContainerSpec:
    """The specification of a job's container that runs the probe."""
    payload = JobPayload(
        job_uuid=NO_JOB,
        executor_class=config.executor_class or resource_limits.SMALLEST,
        docker_image=image.id,
        docker_run_options_preset=GpuPreset.NONE,
        docker_run_cmd=[f"/{PROGRAM}"],
    )
    made = container_spec.job_container_spec(
        payload, image, work, config, executor_id=executor_id, uid=os.getuid()
    )
    return replace(made, name=probe_container(executor_id))


async def probe_output(engine: Engine, made: ContainerSpec, hold: Hold) -> bytes:
    """Run a probe container and return its output; raises `NotProbedError` when that fails."""
    creating = asyncio.create_task(engine.create(made))
    hold(creating)
    try:
        container = await asyncio.shield(creating)
        await container.attach()
        await container.start()
        printed = b"".join([data async for _, data in container.output()])
        if code := await container.exit_code():
            raise NotProbedError(f"the probe ended with exit code {code}")
        return printed
    except JobError as exc:
        raise NotProbedError(str(exc)) from exc
    finally:
        async with asyncio.timeout(REMOVAL_SECONDS):
            await remove_created(creating)
