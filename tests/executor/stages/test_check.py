"""A machine that cannot confine jobs takes none; an image is fetched when it must be."""

import pytest

from compute_horde.errors import ConfigurationError, HordeError, JobError
from compute_horde.faults import Cause
from compute_horde.hardware import ExecutorClass
from compute_horde.vocabulary import FailureReason, HordeReason
from executor.config import PullPolicy
from executor.stages import check

GPU = ExecutorClass.always_on__gpu_24gb


class FakeEngine:
    """An engine that has the images it is told, and fetches those it is told."""

    def __init__(self, *present, fetches=(), options=("name=seccomp,profile=default",)):
        self.present = set(present)
        self.fetches = set(fetches)
        self.options = options
        self.knows = ["runc"]
        self.asked = 0
        self.pulled = []

    async def image(self, name):
        return FakeImage() if name in self.present else None

    async def pull(self, name, tell):
        self.pulled.append(name)
        if name in self.fetches:
            self.present.add(name)

    async def security_options(self):
        self.asked += 1
        return self.options

    async def runtimes(self):
        self.asked += 1
        return self.knows


class FakeImage:
    digest = "sha256:1"


@pytest.mark.parametrize(
    ("policy", "present", "pulls"),
    [
        (PullPolicy.MISSING, True, 0),
        (PullPolicy.MISSING, False, 1),
        (PullPolicy.ALWAYS, True, 1),
        (PullPolicy.NEVER, True, 0),
    ],
)
async def test_an_image_is_fetched_when_the_policy_says_so(policy, present, pulls):
    engine = FakeEngine(*(["x:latest"] if present else []), fetches=["x:latest"])
    assert await check.image("x", engine, policy)
    assert engine.pulled == ["x:latest"] * pulls


async def test_a_missing_image_that_must_not_be_fetched_is_the_job_s_fault():
    with pytest.raises(JobError, match="'x' is not on this machine") as failed:
        await check.image("x", FakeEngine(), PullPolicy.NEVER)
    assert failed.value.reason is FailureReason.DOWNLOAD_FAILED


@pytest.mark.docker
async def test_a_name_that_no_image_can_have_is_the_job_s_fault(engine):
    for name in ("Bad Ref!!", "UPPER/case", ""):
        with pytest.raises(JobError) as failed:
            await check.image(name, engine, PullPolicy.MISSING)
        assert failed.value.reason is FailureReason.DOWNLOAD_FAILED


@pytest.mark.docker
async def test_a_registry_that_cannot_be_reached_is_not_the_job_s_fault(engine):
    with pytest.raises(HordeError, match="cannot be fetched now") as failed:
        await check.image("127.0.0.1:1/no/registry", engine, PullPolicy.MISSING)
    assert failed.value.context == Cause.REGISTRY.context


@pytest.mark.docker
@pytest.mark.parametrize(
    ("status", "code", "blamed"),
    [
        (404, "MANIFEST_UNKNOWN", JobError),
        (401, "UNAUTHORIZED", JobError),
        (403, "DENIED", JobError),
        (429, "TOOMANYREQUESTS", HordeError),
        (500, "UNKNOWN", HordeError),
    ],
)
async def test_what_a_registry_says_tells_whose_fault_it_is(engine, site, status, code, blamed):
    from aiohttp import web

    error = {"errors": [{"code": code, "message": code.lower().replace("_", " ")}]}
    site.answers["/v2/"] = lambda request: web.json_response({})
    for path in ("/v2/some/image/manifests/1", "/v2/some/image/blobs/1"):
        site.answers[path] = lambda request: web.json_response(error, status=status)
    host = (site / "").removeprefix("http://")
    with pytest.raises(blamed):
        await check.image(f"{host}some/image:1", engine, PullPolicy.MISSING)


@pytest.mark.parametrize(
    ("wanted", "knows", "used"),
    [
        ("", ["runc"], ""),
        ("auto", ["runc"], ""),
        ("auto", ["runc", "runsc"], "runsc"),
        ("runsc", ["runc", "runsc"], "runsc"),
        ("kata", ["kata", "runc"], "kata"),
    ],
)
async def test_jobs_get_the_runtime_that_is_asked_for(config, wanted, knows, used):
    engine = FakeEngine()
    engine.knows = knows
    settled = await check.settled(config.model_copy(update={"job_runtime": wanted}), engine)
    assert settled.job_runtime == used
    # Who asks for nothing is not kept waiting.
    assert engine.asked == int(bool(wanted))


async def test_a_runtime_that_the_engine_does_not_have_is_a_wrong_setting(config):
    settings = config.model_copy(update={"job_runtime": "runsc"})
    with pytest.raises(ConfigurationError, match=r"EXECUTOR_JOB_RUNTIME is 'runsc'.*daemon.json"):
        await check.settled(settings, FakeEngine())


async def test_an_engine_without_seccomp_is_refused(config, work):
    for options in ((), ("name=apparmor",), ("name=seccomp,profile=unconfined",)):
        with pytest.raises(HordeError) as refused:
            await check.confinement(FakeEngine(options=options), config)
        assert refused.value.reason is HordeReason.SECURITY_CHECK_FAILED
    daring = config.model_copy(update={"allow_unconfined": True})
    await check.confinement(FakeEngine(options=()), daring)


async def test_the_engine_is_asked_once_per_boot(config, work):
    engine = FakeEngine()
    for _ in range(3):
        await check.confinement(engine, config)
    assert engine.asked == 1


@pytest.mark.parametrize(
    ("said", "safe"),
    [
        ("NVIDIA Container Runtime Hook version 1.17.4", True),
        ("1.18.0", True),
        ("2.0.0-rc.1", True),
        ("NVIDIA Container Runtime Hook version 1.17.3", False),
        ("1.16.2", False),
        ("nonsense", False),
    ],
)
async def test_a_gpu_needs_a_safe_toolkit(config, work, said, safe):
    settings = config.model_copy(update={"nvidia_toolkit_version": said})
    if safe:
        await check.gpu_toolkit(GPU, settings)
        return
    with pytest.raises(HordeError, match=r"1\.17\.4 is needed") as refused:
        await check.gpu_toolkit(GPU, settings)
    assert refused.value.reason is HordeReason.SECURITY_CHECK_FAILED


async def test_the_toolkit_itself_is_asked_when_nobody_stated_its_version(
    config, work, tmp_path, monkeypatch
):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HordeError, match="not found"):
        await check.gpu_toolkit(GPU, config)
    program = tmp_path / check.TOOLKIT[0]
    program.write_text("#!/bin/sh\necho NVIDIA Container Runtime Hook version 1.17.8\n")
    program.chmod(0o755)
    await check.gpu_toolkit(GPU, config)


async def test_a_class_without_a_gpu_needs_no_toolkit(config, work):
    await check.gpu_toolkit(ExecutorClass.always_on__test, config)
