"""A real PostgreSQL: created, killed, asked again."""

import asyncio
import os
import shutil
import signal
from pathlib import Path

import psycopg
import pytest

from localnet import postgres
from localnet.home import Home
from localnet.processes import Supervisor


@pytest.fixture
def home(tmp_path):
    """pytest's folder is root's alone: as root the server must live elsewhere."""
    place = Home.at(tmp_path / "home")
    yield place
    postgres.remove(place)


@pytest.fixture
async def supervisor(home):
    postgres.prepare(home)
    supervisor = Supervisor([postgres.process(home, ("miner", "validator"))], home.log)
    await supervisor.start()
    yield supervisor
    await supervisor.stop()


async def test_each_service_has_a_database_and_keeps_what_it_wrote(home, supervisor):
    with psycopg.connect(postgres.url(home, "miner")) as database:
        database.execute("CREATE TABLE job (id int)")
        database.execute("INSERT INTO job VALUES (7)")
    keeper = supervisor.keepers["postgres"]
    victim = keeper.pid
    os.kill(victim, signal.SIGKILL)
    ready = keeper.process.ready
    while keeper.pid in (victim, None) or not await ready():
        await asyncio.sleep(0.02)
    with psycopg.connect(postgres.url(home, "miner")) as database:
        assert database.execute("SELECT id FROM job").fetchall() == [(7,)]
    with psycopg.connect(postgres.url(home, "validator")) as database:
        assert database.execute("SHOW fsync").fetchone() == ("on",)
        assert database.execute("SHOW synchronous_commit").fetchone() == ("on",)


async def test_a_stranger_without_the_password_is_refused(home, supervisor):
    url = postgres.url(home, "miner").replace(home.secret("postgres"), "guess")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(url)


def test_the_data_is_created_once(home):
    postgres.prepare(home)
    where = Path((home.path / "postgres-data-is-at").read_text())
    version = (where / "PG_VERSION").stat().st_ino
    postgres.prepare(home)
    assert (where / "PG_VERSION").stat().st_ino == version


def test_data_of_a_forgotten_home_is_made_anew(home):
    postgres.prepare(home)
    where = Path((home.path / "postgres-data-is-at").read_text())
    (where / "mark").touch()
    shutil.rmtree(home.path)
    postgres.prepare(Home.at(home.path))
    assert (where / "PG_VERSION").exists()
    assert not (where / "mark").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has folders that others cannot enter")
async def test_binaries_where_only_root_may_look_are_copied(home, tmp_path, monkeypatch):
    wheel = postgres.wheel_binaries().parent.parent
    hidden = tmp_path / "hidden"
    hidden.mkdir(mode=0o700)
    shutil.copytree(wheel, hidden / wheel.name, symlinks=True)
    libraries = f"{wheel.name}.libs"
    shutil.copytree(wheel.parent / libraries, hidden / libraries)
    monkeypatch.setattr(postgres, "_wheel", lambda: hidden / wheel.name)
    postgres.prepare(home)
    process = postgres.process(home, ("miner",))
    assert hidden not in Path(process.command[0]).parents
    supervisor = Supervisor([process], home.log)
    await supervisor.start()
    await supervisor.stop()


def test_what_a_deleted_home_left_outside_is_removed_by_the_next(home, tmp_path):
    other = Home.at(tmp_path / "other")
    postgres.prepare(other)
    outside = postgres._outside(other)
    shutil.rmtree(other.path)
    postgres.prepare(home)
    assert not outside.exists()
    assert Path((home.path / "postgres-data-is-at").read_text()).is_dir()


def test_a_folder_outside_that_somebody_else_made_is_refused(home):
    outside = postgres._outside(home)
    if os.geteuid() != 0:
        pytest.skip("only root needs a folder outside")
    outside.symlink_to("/etc")
    try:
        with pytest.raises(RuntimeError, match="belongs to somebody else"):
            postgres.prepare(home)
    finally:
        outside.unlink()
