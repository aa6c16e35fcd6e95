"""Tiny container images made on the spot: no registry is needed."""

import io
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

from localnet import apt, docker_engine

BUSYBOX = "computehorde/busybox"
NOOP = "computehorde/noop"

_INSTALLED = Path("/bin/busybox")
_KEPT = Path.home() / ".cache" / "compute-horde" / "busybox"


class NoImageError(Exception):
    """An image could not be made."""


def static_busybox() -> Path:
    """The path of a static busybox. It may fetch one: call it before supervising."""
    if found := next((path for path in (_INSTALLED, _KEPT) if _is_static(path)), None):
        return found
    return _downloaded()


def build() -> None:
    """Make the images that are not there yet."""
    busybox = static_busybox()
    with docker_engine.client() as engine:
        for name, changes in {
            BUSYBOX: ['CMD ["sh"]', "ENV PATH=/bin"],
            NOOP: ['ENTRYPOINT ["/bin/true"]'],
        }.items():
            if not engine.get(f"/images/{name}:latest/json").is_success:
                _load(name, changes, busybox)


def _load(name: str, changes: Sequence[str], busybox: Path) -> None:
    with docker_engine.client() as engine:
        answer = engine.post(
            "/images/create",
            params={"fromSrc": "-", "repo": name, "tag": "latest", "changes": list(changes)},
            content=_root(busybox),
            headers={"Content-Type": "application/x-tar"},
        )
    if not answer.is_success or '"error"' in answer.text:
        raise NoImageError(f"the engine did not take {name}: {answer.text.strip()}")


def _root(busybox: Path) -> bytes:
    """A root file system of one program under its many names."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as root:
        for folder, mode in (("bin", 0o755), ("etc", 0o755), ("tmp", 0o1777)):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            root.addfile(entry)
        program = tarfile.TarInfo("bin/busybox")
        program.size, program.mode = busybox.stat().st_size, 0o755
        with busybox.open("rb") as content:
            root.addfile(program, content)
        for name in _applets(busybox):
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            root.addfile(link)
    return archive.getvalue()


def _applets(busybox: Path) -> list[str]:
    listed = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True)
    return [name for name in listed.stdout.split() if name != "busybox"]


def _is_static(program: Path) -> bool:
    """A dynamic program names its loader; a container from scratch has none."""
    return program.is_file() and b"/ld-" not in program.read_bytes()[:4096]


def _downloaded() -> Path:
    """Taken out of Debian's package, which also works without being root."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            apt.unpack("busybox-static", Path(folder))
        except apt.AptError as error:
            raise NoImageError(
                f"a static busybox is needed: `apt-get install busybox-static` ({error})"
            ) from error
        found = next(Path(folder, "tree").glob("**/bin/busybox"))
        _KEPT.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(found, _KEPT)
    return _KEPT
