"""The probe on the real engine notices each protection that is removed."""

import logging
from dataclasses import replace

import pytest

from compute_horde.errors import HordeError
from compute_horde.vocabulary import HordeReason
from executor.images.engine_images import EngineImages
from executor.images.manifests import Platform
from executor.probe import elf, protections, sandbox
from executor.process import id_of
from executor.sandbox.container import EngineError
from executor.sandbox.engine import EXECUTOR
from executor.stages import check
from tests.peers.executors_miner import TOKEN

pytestmark = pytest.mark.docker

ID = id_of(TOKEN)
EXPECTED = protections.expected(writable_root=False)


@pytest.fixture(autouse=True)
def tried(monkeypatch, sandbox_is_tried_once):
    """Counts the probe runs, with a time limit that a busy machine does not exceed."""
    times = []

    async def trying(*arguments):
        times.append(arguments)
        return await sandbox_is_tried_once(*arguments)

    monkeypatch.setattr(sandbox, "_run_probe", trying)
    monkeypatch.setattr(sandbox, "SECONDS", 30)
    return times


@pytest.fixture
def asked(engine, work, config):
    held = []

    async def ask(**settings):
        changed = config.model_copy(update=settings)
        await sandbox.check_sandbox(engine, work, changed, executor_id=ID, hold=held.append)
        return held

    return ask


async def found(engine, work, config, changes):
    async with sandbox.probe_image(engine, EXPECTED) as image:
        made = sandbox.probe_container_spec(image, work, config, executor_id=ID)
        made = replace(made, host=made.host | changes)
        printed = await sandbox.probe_output(engine, made, lambda _: None)
    return set(protections.missing_protections(EXPECTED, printed))


async def test_this_engine_confines_jobs_and_is_tried_once(asked, engine, tried, caplog):
    with caplog.at_level(logging.WARNING):
        held = await asked()
        await asked()
    assert (len(tried), len(held)) == (1, 1)
    assert sandbox.NOT_PROBED not in caplog.text
    assert await engine.labelled(EXECUTOR, ID) == {}


async def test_it_is_tried_again_for_other_settings_and_when_the_miner_starts(asked, tried, config):
    await asked()
    await asked(writable_root=True)
    assert len(tried) == 2
    check.forget("sandbox-", config)
    await asked()
    assert len(tried) == 3


async def test_nothing_is_left_of_the_probe(asked, engine, monkeypatch):
    made = []
    real = EngineImages.import_image

    async def imported(*arguments):
        made.append(await real(*arguments))
        return made[-1]

    monkeypatch.setattr(EngineImages, "import_image", imported)
    await asked()
    assert len(made) == 1
    assert await engine.image(made[0]) is None
    assert await engine.labelled(EXECUTOR, ID) == {}


KMSG = {"PathOnHost": "/dev/kmsg", "PathInContainer": "/dev/kmsg", "CgroupPermissions": "r"}
FILTER = "a filter of system calls"


@pytest.mark.parametrize(
    ("changes", "noticed"),
    [
        ({}, set()),
        ({"CapDrop": []}, {"no capabilities", "no making of devices", "no change of root"}),
        ({"CapAdd": ["SYS_ADMIN"]}, {"no capabilities", "no mounting", "no namespaces of mounts"}),
        ({"CapAdd": ["NET_RAW"]}, {"no capabilities"}),
        ({"SecurityOpt": []}, {"no new privileges"}),
        ({"SecurityOpt": ["no-new-privileges", "seccomp=unconfined"]}, {FILTER}),
        ({"ReadonlyRootfs": False}, {"a read-only root"}),
        ({"NetworkMode": "host"}, {"no network but a loopback"}),
        ({"PidMode": "host"}, {"process numbers of its own"}),
        ({"ReadonlyPaths": []}, {"read-only settings of the kernel"}),
        ({"MaskedPaths": []}, {"hidden files of the kernel"}),
        ({"Devices": [KMSG]}, {"no devices of the machine"}),
    ],
    ids=str,
)
async def test_a_protection_that_is_taken_away_is_noticed(engine, work, config, changes, noticed):
    seen = await found(engine, work, config, changes)
    assert seen >= noticed
    assert bool(seen) == bool(noticed)


async def test_a_privileged_container_is_noticed(engine, work, config):
    try:
        seen = await found(engine, work, config, {"Privileged": True})
    except EngineError as exc:
        if "operation not permitted" not in exc.detail:
            raise
        pytest.skip("this engine may not start privileged containers itself")
    assert {"no capabilities", FILTER, "no mounting", "no devices of the machine"} <= seen


async def test_an_engine_that_does_not_confine_gets_no_job_and_is_told_why(
    asked, tried, monkeypatch
):
    real = sandbox.probe_container_spec

    def probe_container_spec(*arguments, **named):
        made = real(*arguments, **named)
        return replace(made, host=made.host | {"SecurityOpt": ["seccomp=unconfined"]})

    monkeypatch.setattr(sandbox, "probe_container_spec", probe_container_spec)
    for _ in range(2):
        with pytest.raises(HordeError, match="a filter of system calls") as refused:
            await asked()
        assert refused.value.reason is HordeReason.SECURITY_CHECK_FAILED
        assert "no new privileges" in str(refused.value)
        assert "seccomp profile" in str(refused.value)
    assert len(tried) == 2
    await asked(allow_unconfined=True)
    assert len(tried) == 2


async def on_another_machine(_):
    return Platform("linux", "riscv64")


async def imports_nothing(*_):
    raise EngineError(403, "not allowed here")


@pytest.mark.parametrize(
    ("method", "instead", "why"),
    [
        ("platform", on_another_machine, "no probe for riscv64"),
        ("import_image", imports_nothing, "its image cannot be made"),
    ],
)
async def test_what_cannot_be_tried_is_said_once(
    asked, tried, monkeypatch, caplog, method, instead, why
):
    monkeypatch.setattr(EngineImages, method, instead)
    with caplog.at_level(logging.WARNING):
        await asked()
        await asked()
    warnings = [one for one in caplog.records if one.message == sandbox.NOT_PROBED]
    assert [why in one.problem for one in warnings] == [True]
    assert len(tried) == 1


async def test_a_probe_that_breaks_off_proves_nothing(asked, engine, monkeypatch, caplog):
    monkeypatch.setattr(elf, "program", lambda *_: b"no program")
    with caplog.at_level(logging.WARNING):
        await asked()
    assert sandbox.NOT_PROBED in caplog.text
    assert await engine.labelled(EXECUTOR, ID) == {}


async def test_a_runtime_with_a_kernel_of_its_own_is_not_judged(asked, caplog):
    with caplog.at_level(logging.WARNING):
        held = await asked(job_runtime="runsc")
    assert held == []
    assert sandbox.NOT_PROBED in caplog.text


async def test_an_engine_that_is_too_slow_is_tried_again_by_the_next(
    asked, tried, monkeypatch, caplog
):
    monkeypatch.setattr(sandbox, "SECONDS", 0)
    with caplog.at_level(logging.WARNING):
        await asked()
    assert sandbox.NOT_PROBED in caplog.text
    monkeypatch.setattr(sandbox, "SECONDS", 30)
    await asked()
    assert len(tried) == 2
