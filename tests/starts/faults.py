"""What can be wrong with each thing that a process needs, and what is then said."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import psycopg

from localnet.network_dir import free_port
from tests.starts.world import MARK, World, silent_server


@dataclass(frozen=True)
class Scene:
    """A service about to be started wrongly: change `env`."""

    world: World
    service: str
    env: dict[str, str]
    folder: Path

    def set(self, name: str, value: str) -> None:
        self.env[f"{self.service.upper()}_{name}"] = value

    def get(self, name: str) -> str:
        return self.env[f"{self.service.upper()}_{name}"]


Fault = Callable[[Scene], Iterator[str]]
NEEDS: dict[str, dict[str, Fault]] = {}
# Wrong settings are possible for every process.
SETTINGS: dict[str, Fault] = {}
WITHOUT_RIGHTS = {"hotkey file of somebody else", "no right to the Docker socket"}


def _fault(name: str, need: str | None = None) -> Callable[[Fault], Fault]:
    def add(fault: Fault) -> Fault:
        (NEEDS.setdefault(need, {}) if need else SETTINGS)[name] = contextmanager(fault)
        return fault

    return add


def database_url(scene: Scene, *, password: str = "", port: int = 0, name: str = "") -> str:
    url = scene.world.network.database(scene.service)
    login, _, place = url.removeprefix("postgresql://").rpartition("@")
    host, _, known = place.partition("/")
    own = login.split(":")[1]
    where = f"127.0.0.1:{port}" if port else host
    return f"postgresql://postgres:{password or own}@{where}/{name or known}"


@_fault("weak key")
def _weak_key(scene):
    scene.set("SECRET_KEY", "hush-hush-secret")
    yield f"{scene.service.upper()}_SECRET_KEY"


@_fault("port that is no number")
def _no_port(scene):
    scene.set("PORT", MARK)
    yield f"{scene.service.upper()}_PORT"


@_fault("list that is no JSON")
def _no_json(scene):
    name = {"miner": "EXECUTORS", "validator": "CLASS_WEIGHTS", "facilitator": "KEEP_DAYS"}
    scene.set(name[scene.service], "{" + MARK)
    yield f"{scene.service.upper()}_{name[scene.service]}: "


@_fault("key under another name")
def _misspelt(scene):
    scene.set("DATABASE_URLL", scene.env.pop(f"{scene.service.upper()}_DATABASE_URL"))
    scene.set("PORT", MARK)
    yield f"did you mean {scene.service.upper()}_DATABASE_URL?"


@_fault("wrong password", "database")
def _wrong_password(scene):
    scene.set("DATABASE_URL", database_url(scene, password=MARK))
    yield "password authentication failed"


@_fault("password with a slash", "database")
def _raw_password(scene):
    scene.set("DATABASE_URL", f"postgresql://postgres:{MARK}/{MARK}@127.0.0.1/x")
    yield "%2F"


@_fault("database away", "database")
def _away(scene):
    scene.set("DATABASE_URL", database_url(scene, port=free_port()))
    yield "Connection refused"


@_fault("silent database", "database")
def _silent(scene):
    with silent_server() as (port, _):
        scene.set("DATABASE_URL", database_url(scene, port=port))
        yield "timeout expired"


@_fault("unknown database", "database")
def _unknown(scene):
    scene.set("DATABASE_URL", database_url(scene, name="nowhere"))
    yield '"nowhere" does not exist'


@_fault("another database", "database")
def _mysql(scene):
    scene.set("DATABASE_URL", f"mysql://root:{MARK}@127.0.0.1/x")
    yield "must start with postgresql://"


@_fault("unmigrated database", "database")
def _unmigrated(scene):
    scene.set("DATABASE_URL", scene.world.new_database(f"empty_{uuid4().hex}"))
    yield f"run `python -m {scene.service} migrate`"


@_fault("newer database", "database")
def _newer(scene):
    url = scene.world.new_database(f"newer_{uuid4().hex}", like=scene.service)
    app = {"facilitator": "facilitator", "validator": "jobs", "miner": "jobs"}[scene.service]
    with psycopg.connect(url) as database:
        database.execute(
            "INSERT INTO django_migrations (app, name, applied) VALUES (%s, '9999_later', now())",
            (app,),
        )
    scene.set("DATABASE_URL", url)
    yield f"newer version, which knows {app}.9999_later"


@_fault("no hotkey file", "hotkey")
def _no_hotkey(scene):
    scene.set("HOTKEY_FILE", str(scene.folder / "none"))
    yield "there is no hotkey file"


@_fault("hotkey file of somebody else", "hotkey")
def _foreign_hotkey(scene):
    path = scene.folder / "foreign"
    path.touch(mode=0)
    scene.set("HOTKEY_FILE", str(path))
    yield f"belongs to user {path.stat().st_uid}"


@_fault("hotkey file without a key", "hotkey")
def _no_key(scene):
    path = scene.folder / "wrong"
    path.write_text(f'{{"secretPhrase": "{MARK}"}}')
    scene.set("HOTKEY_FILE", str(path))
    yield "holds no hotkey that can sign"


@_fault("port in use", "port")
def _port_in_use(scene):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        scene.set("PORT", str(taken.getsockname()[1]))
        yield "Address already in use"


@_fault("broker away", "broker")
def _broker_away(scene):
    scene.set("REDIS_URL", f"redis://:{MARK}@127.0.0.1:{free_port()}/0")
    yield "Connection refused"


@_fault("silent broker", "broker")
def _silent_broker(scene):
    with silent_server() as (port, _):
        scene.set("REDIS_URL", f"redis://127.0.0.1:{port}/0")
        yield f"the broker at 127.0.0.1:{port} cannot be used"


@_fault("wrong password of the broker", "broker")
def _broker_refuses(scene):
    scene.set("REDIS_URL", scene.get("REDIS_URL").replace("redis://", f"redis://nobody:{MARK}@"))
    yield "invalid username-password pair"


@_fault("no address of a broker", "broker")
def _no_broker(scene):
    scene.set("REDIS_URL", MARK)
    yield "VALIDATOR_REDIS_URL is no address of a broker"


@_fault("chain away", "chain")
def _chain_away(scene):
    scene.set("CHAIN_URL", f"ws://user:{MARK}@127.0.0.1:{free_port()}/{MARK}")
    yield "CHAIN_URL"


@_fault("silent chain", "chain")
def _silent_chain(scene):
    with silent_server() as (port, _):
        scene.set("CHAIN_URL", f"ws://127.0.0.1:{port}")
        yield "chain"


@_fault("no such subnet", "chain")
def _no_subnet(scene):
    scene.set("NETUID", "4711")
    yield "NETUID"


@_fault("hotkey not registered", "chain")
def _not_registered(scene):
    scene.set("HOTKEY_FILE", str(scene.world.network.identity("user").hotkey_file))
    yield "is not registered on subnet 12"


@_fault("no Docker socket", "engine")
def _no_docker(scene):
    scene.set("DOCKER_HOST", f"unix://{scene.folder}/none.sock")
    yield "start Docker"


@_fault("no right to the Docker socket", "engine")
def _no_right(scene):
    path = scene.folder / "docker.sock"
    with socket.socket(socket.AF_UNIX) as engine:
        engine.bind(str(path))
        engine.listen()
        path.chmod(0)
        scene.set("DOCKER_HOST", f"unix://{path}")
        yield f"--group-add {os.getgid()}"
