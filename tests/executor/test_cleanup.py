"""Cleanup removes what ended executors left, and nothing of running ones."""

import subprocess

import pytest

from executor import cleanup
from executor.process import id_of
from executor.sandbox import workdir
from executor.sandbox.engine import EXECUTOR, OWNER, ContainerSpec, Engine
from tests.peers.executors_miner import TOKEN

pytestmark = pytest.mark.docker

ME = id_of(TOKEN)
OURS = f"sweep-{TOKEN}"


@pytest.fixture
async def container(engine, busybox):
    image = await engine.image(busybox)
    labels = {OWNER: OURS, EXECUTOR: ME}
    made = await engine.create(
        ContainerSpec(f"horde-{ME}-job", image.id, ["true"], [], "0", labels)
    )
    return made.id


async def test_a_dead_executor_is_cleaned_up_after(engine, container, config):
    left = config.work_dir / f"ch-{ME}"
    left.mkdir(parents=True)
    assert cleanup.has_directory(config, ME)
    assert await cleanup.clean_up(config, [ME]) == cleanup.DONE
    assert not left.exists()
    assert await engine.labelled(EXECUTOR, ME) == {}


async def test_a_living_executor_is_left_alone(engine, container, config, work):
    await cleanup.clean_up(config, [ME])
    assert work.output.exists()
    assert await engine.labelled(EXECUTOR, ME) == {container: ME}


async def test_containers_of_an_owner_go_with_their_executors(engine, container, config):
    other = config.model_copy(update={"owner": "another"})
    nobody = config.model_copy(update={"owner": ""})
    for settings in (other, nobody):
        await cleanup.clean_up(settings, [], everything=True)
    assert await engine.labelled(EXECUTOR, ME) == {container: ME}
    await cleanup.clean_up(config.model_copy(update={"owner": OURS}), [], everything=True)
    assert await engine.labelled(EXECUTOR, ME) == {}


def test_the_dead_of_an_owner_are_found_by_their_directories(config):
    left = config.work_dir / "ch-dead"
    left.mkdir(parents=True)
    (left / "owner").write_text(config.owner)
    assert list(workdir.abandoned(config.work_dir, config.owner)) == ["dead"]
    assert cleanup.all_ended(config) == cleanup.DONE
    assert not left.exists()


def test_directories_can_be_swept_alone(config, container):
    left = config.work_dir / "ch-dead"
    left.mkdir(parents=True)
    (left / "owner").write_text(OURS)
    settings = config.model_copy(update={"owner": OURS})
    assert cleanup.all_with_directory(settings) == cleanup.DONE
    assert not left.exists()
    found = ["docker", "ps", "-aq", "--no-trunc", "--filter", f"label={OWNER}={OURS}"]
    listed = subprocess.run(found, capture_output=True, text=True, check=True)
    assert listed.stdout.split() == [container]


def test_without_an_engine_leftovers_stay_for_the_next_time(config, monkeypatch):
    monkeypatch.setattr(Engine, "connect", _no_engine)
    left = config.work_dir / f"ch-{ME}"
    left.mkdir(parents=True)
    assert cleanup.one_executor(config, ME) == cleanup.FAILED
    assert left.exists()


async def _no_engine(url):
    raise cleanup.ContainerError("no engine")
