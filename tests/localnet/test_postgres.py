"""A real PostgreSQL: created, killed, queried again."""

import asyncio
import os
import shutil
import signal
from pathlib import Path

import psycopg
import pytest

from localnet import postgres
from localnet.network_dir import NetworkDir
from localnet.supervisor.supervisor import Supervisor


@pytest.fixture
def network_dir(tmp_path):
    """A network below pytest's folder, which only root can enter."""
    network_dir = NetworkDir.at(tmp_path / "network")
    yield network_dir
    postgres.remove(network_dir)


@pytest.fixture
async def supervisor(network_dir):
    postgres.prepare(network_dir)
    supervisor = Supervisor(
        [postgres.process(network_dir, ("miner", "validator"))], network_dir.log
    )
    await supervisor.start()
    yield supervisor
    await supervisor.stop()


async def test_each_service_has_a_database_and_keeps_what_it_wrote(network_dir, supervisor):
    with psycopg.connect(postgres.url(network_dir, "miner")) as database:
        database.execute("CREATE TABLE job (id int)")
        database.execute("INSERT INTO job VALUES (7)")
    supervised = supervisor.processes["postgres"]
    victim = supervised.pid
    os.kill(victim, signal.SIGKILL)
    ready = supervised.spec.probe
    while supervised.pid in (victim, None) or not await ready():
        await asyncio.sleep(0.02)
    with psycopg.connect(postgres.url(network_dir, "miner")) as database:
        assert database.execute("SELECT id FROM job").fetchall() == [(7,)]
    with psycopg.connect(postgres.url(network_dir, "validator")) as database:
        assert database.execute("SHOW fsync").fetchone() == ("on",)
        assert database.execute("SHOW synchronous_commit").fetchone() == ("on",)


async def test_a_wrong_password_is_refused(network_dir, supervisor):
    url = postgres.url(network_dir, "miner").replace(network_dir.secret("postgres"), "guess")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(url)


def test_the_data_is_created_once(network_dir):
    postgres.prepare(network_dir)
    where = Path((network_dir.path / "postgres-data-is-at").read_text())
    version = (where / "PG_VERSION").stat().st_ino
    postgres.prepare(network_dir)
    assert (where / "PG_VERSION").stat().st_ino == version


def test_data_of_a_deleted_network_is_created_again(network_dir):
    postgres.prepare(network_dir)
    where = Path((network_dir.path / "postgres-data-is-at").read_text())
    (where / "mark").touch()
    shutil.rmtree(network_dir.path)
    postgres.prepare(NetworkDir.at(network_dir.path))
    assert (where / "PG_VERSION").exists()
    assert not (where / "mark").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has folders that others cannot enter")
async def test_binaries_that_only_root_can_reach_are_copied(network_dir, tmp_path, monkeypatch):
    wheel = postgres.wheel_binaries().parent.parent
    hidden = tmp_path / "hidden"
    hidden.mkdir(mode=0o700)
    shutil.copytree(wheel, hidden / wheel.name, symlinks=True)
    libraries = f"{wheel.name}.libs"
    shutil.copytree(wheel.parent / libraries, hidden / libraries)
    monkeypatch.setattr(postgres, "_wheel", lambda: hidden / wheel.name)
    postgres.prepare(network_dir)
    process = postgres.process(network_dir, ("miner",))
    assert hidden not in Path(process.command[0]).parents
    supervisor = Supervisor([process], network_dir.log)
    await supervisor.start()
    await supervisor.stop()


def test_the_external_folder_of_a_deleted_network_is_removed_by_the_next(network_dir, tmp_path):
    other = NetworkDir.at(tmp_path / "other")
    postgres.prepare(other)
    external = postgres._external_dir(other)
    data = postgres.external_data_dir(other)
    assert data is None or external in data.parents
    shutil.rmtree(other.path)
    postgres.prepare(network_dir)
    assert not external.exists()
    assert Path((network_dir.path / "postgres-data-is-at").read_text()).is_dir()


def test_an_external_folder_of_another_user_is_refused(network_dir):
    external = postgres._external_dir(network_dir)
    if os.geteuid() != 0:
        pytest.skip("only root needs an external folder")
    external.symlink_to("/etc")
    try:
        with pytest.raises(RuntimeError, match="belongs to another user"):
            postgres.prepare(network_dir)
    finally:
        external.unlink()
