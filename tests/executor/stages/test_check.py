"""A machine that cannot confine jobs runs none."""

import json

import pytest

from compute_horde import signing
from compute_horde.errors import ConfigurationError, HordeError
from compute_horde.hardware import ExecutorClass
from compute_horde.vocabulary import HordeReason
from executor.sandbox import advisories
from executor.stages import check
from tests.compute_horde.vectors import KEYS

GPU = ExecutorClass.always_on__gpu_24gb


class FakeEngine:
    """An engine with scripted answers."""

    def __init__(self, options=("name=seccomp,profile=default",), components=None):
        self.options = options
        self.parts = components or {}
        self.knows = ["runc"]
        self.default = ("runc", "runc")
        self.asked = 0

    async def security_options(self):
        self.asked += 1
        return self.options

    async def components(self):
        return self.parts

    async def default_runtime(self):
        return self.default

    async def runtimes(self):
        self.asked += 1
        return self.knows


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
    chosen = await check.with_job_runtime(config.model_copy(update={"job_runtime": wanted}), engine)
    assert chosen.job_runtime == used
    # Who asks for nothing is not kept waiting.
    assert engine.asked == int(bool(wanted))


@pytest.mark.parametrize(
    "default", [("nvidia", "/x"), ("gpus", "/usr/bin/nvidia-container-runtime")]
)
@pytest.mark.parametrize(
    ("wanted", "used"), [("", "runc"), ("auto", "runc"), ("nvidia", "nvidia"), ("kata", "kata")]
)
async def test_a_job_without_gpu_gets_no_hooks_by_an_engine_s_default(
    config, default, wanted, used
):
    engine = FakeEngine()
    engine.knows, engine.default = ["gpus", "kata", "nvidia", "runc"], default
    chosen = await check.with_job_runtime(config.model_copy(update={"job_runtime": wanted}), engine)
    assert chosen.job_runtime == used
    engine.knows = ["nvidia"]
    with pytest.raises(ConfigurationError, match="EXECUTOR_JOB_RUNTIME"):
        await check.with_job_runtime(config.model_copy(update={"job_runtime": ""}), engine)


async def test_a_runtime_that_the_engine_does_not_have_is_a_wrong_setting(config):
    settings = config.model_copy(update={"job_runtime": "runsc"})
    with pytest.raises(ConfigurationError, match=r"EXECUTOR_JOB_RUNTIME is 'runsc'.*daemon.json"):
        await check.with_job_runtime(settings, FakeEngine())


async def test_an_engine_without_seccomp_is_refused(config, work):
    for options in ((), ("name=apparmor",), ("name=seccomp,profile=unconfined",)):
        with pytest.raises(HordeError) as refused:
            await check.check_confinement(FakeEngine(options=options), config)
        assert refused.value.reason is HordeReason.SECURITY_CHECK_FAILED
    daring = config.model_copy(update={"allow_unconfined": True})
    await check.check_confinement(FakeEngine(options=()), daring)


async def test_the_engine_is_asked_once_per_boot(config, work):
    engine = FakeEngine()
    for _ in range(3):
        await check.check_confinement(engine, config)
    assert engine.asked == 1


@pytest.mark.parametrize(
    ("version", "safe"),
    [
        ("NVIDIA Container Runtime Hook version 1.17.8", True),
        ("1.18.0", True),
        ("2.0.0-rc.1", True),
        ("1.17.8-1", True),
        ("1.17.8~rc.1-1", False),
        ("1.17.8-rc.2", False),
        ("1.17.8-dev", False),
        ("NVIDIA Container Runtime Hook version 1.17.7", False),
        ("1.16.2", False),
        ("nonsense", False),
    ],
)
async def test_a_gpu_needs_a_safe_toolkit(config, work, version, safe):
    settings = config.model_copy(update={"nvidia_toolkit_version": version})
    if safe:
        await check.check_gpu_toolkit(GPU, settings)
        return
    with pytest.raises(HordeError, match=r"1\.17\.8 is needed|1\.17\.8") as refused:
        await check.check_gpu_toolkit(GPU, settings)
    assert refused.value.reason is HordeReason.SECURITY_CHECK_FAILED


async def test_the_toolkit_itself_is_asked_when_nobody_stated_its_version(
    config, work, tmp_path, monkeypatch
):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HordeError, match="not found"):
        await check.check_gpu_toolkit(GPU, config)
    program = tmp_path / advisories.TOOLKIT
    program.write_text("#!/bin/sh\necho NVIDIA Container Runtime Hook version 1.17.8\n")
    program.chmod(0o755)
    await check.check_gpu_toolkit(GPU, config)


async def test_a_class_without_a_gpu_needs_no_toolkit(config, work):
    assert await check.check_gpu_toolkit(ExecutorClass.always_on__test, config) is None


RUNC = "CVE-2025-31133, CVE-2025-52565, CVE-2025-52881"


@pytest.mark.parametrize(
    ("runc", "gpus", "anything"),
    [
        ("1.1.5+ds1-1+deb12u1", False, True),
        ("v1.1.11-0-g4bccb38", False, False),
        ("1.1.12", False, True),
        ("v1.2.8-0-gxyz", True, True),
        ("1.3.2", False, True),
        ("1.3.3", True, True),
        ("2.0.0", True, True),
        ("1.2.8-rc.1", False, True),
        ("1.3.3~rc1+ds-1", False, True),
        ("1.4.0-rc.1", False, True),
        ("v1.4.0-rc.2-5-gabcdef", False, True),
        ("v1.4.0-rc.3-0-gabcdef", True, True),
        ("1.4.0-beta.7", False, True),
        ("1.4.0", True, True),
        ("1.1.12-rc.1", False, False),
        ("nonsense", False, False),
    ],
)
async def test_known_faults_of_an_engine_refuse_gpus_or_everything(config, runc, gpus, anything):
    async def safe(executor_class, **settings):
        try:
            engine = FakeEngine(components={"runc": runc})
            await check.check_advisories(engine, config.model_copy(update=settings), executor_class)
        except HordeError as exc:
            return exc.reason is not HordeReason.SECURITY_CHECK_FAILED
        return True

    assert (await safe(GPU), await safe(ExecutorClass.always_on__test)) == (gpus, anything)
    every = ("CVE-2024-21626", *RUNC.split(", "))
    assert await safe(GPU, accepted_advisories=every)


def advisory_file(path, signer, **changes):
    content = {"type": "compute_horde.advisories", "advisories": [NEW]} | changes
    signature = signing.signed_hex(signer, signing.compact_json(content))
    path.write_text(json.dumps(content | {"signature": signature}))
    return path


NEW = {"id": "CVE-1", "component": "runc", "fixed": ["9.0.0"], "refused": "everything"}


async def test_more_advisories_come_in_a_file_signed_by_the_configured_hotkey(config, tmp_path):
    signer = KEYS["validator"]
    settings = {
        "advisories_file": advisory_file(tmp_path / "a", signer),
        "advisories_signer": signer.ss58_address,
    }
    engine, test = FakeEngine(components={"runc": "1.3.3"}), ExecutorClass.always_on__test
    await check.check_advisories(engine, config, test)
    with pytest.raises(HordeError, match="CVE-1"):
        await check.check_advisories(engine, config.model_copy(update=settings), test)
    other = settings | {"advisories_signer": KEYS["sdk_user"].ss58_address}
    with pytest.raises(ConfigurationError, match="EXECUTOR_ADVISORIES_FILE"):
        await check.check_advisories(engine, config.model_copy(update=other), test)
