"""Tiny container images made on the spot: no registry is needed."""

import io
import logging
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from localnet import apt, docker_engine

BUSYBOX = "computehorde/busybox"
NOOP = "computehorde/noop"
HASH = "computehorde/hash:v1"
RELAY = "computehorde/relay"
SOURCE = "compute_horde.source"

_SOLVER = Path(__file__).parent.parent / "validator" / "synthetic" / "image" / "solve.sh"

_INSTALLED = Path("/bin/busybox")
_KEPT = Path.home() / ".cache" / "compute-horde" / "busybox"


log = logging.getLogger(__name__)


class NoImageError(Exception):
    """An image could not be made."""


def static_busybox() -> Path:
    """The path of a static busybox. It may fetch one: call it before supervising."""
    if found := next((path for path in (_INSTALLED, _KEPT) if _is_static(path)), None):
        return found
    return _downloaded()


@dataclass(frozen=True, slots=True)
class Recipe:
    """How an image is made: busybox, further programs at the root, and what Docker is told."""

    changes: tuple[str, ...]
    programs: Mapping[str, Path] = field(default_factory=dict)


RECIPES = {
    BUSYBOX: Recipe(('CMD ["sh"]', "ENV PATH=/bin")),
    NOOP: Recipe(('ENTRYPOINT ["/bin/true"]',)),
    HASH: Recipe(('ENTRYPOINT ["/bin/sh", "/solve.sh"]', "ENV PATH=/bin"), {"solve.sh": _SOLVER}),
}


def build() -> None:
    """Make the images that are not there yet, or not as their recipes say."""
    busybox = static_busybox()
    for name, recipe in RECIPES.items():
        _make(name, recipe, busybox)
    try:
        _put(RELAY, _alone(_socat()), Recipe(('ENTRYPOINT ["/usr/bin/socat"]',)))
    except NoImageError as error:
        log.warning("no streaming jobs", extra={"problem": str(error)})


def _make(name: str, recipe: Recipe, busybox: Path) -> None:
    _put(name, _root(busybox, recipe.programs), recipe)


def _put(name: str, root: bytes, recipe: Recipe) -> None:
    source = sha256(root + repr(recipe.changes).encode()).hexdigest()
    with docker_engine.client() as engine:
        there = engine.get(f"/images/{name}/json")
        if there.is_success and (there.json()["Config"]["Labels"] or {}).get(SOURCE) == source:
            return
        repository, _, tag = name.partition(":")
        answer = engine.post(
            "/images/create",
            params={
                "fromSrc": "-",
                "repo": repository,
                "tag": tag or "latest",
                "changes": [*recipe.changes, f"LABEL {SOURCE}={source}"],
            },
            content=root,
            headers={"Content-Type": "application/x-tar"},
        )
    if not answer.is_success or '"error"' in answer.text:
        raise NoImageError(f"the engine did not take {name}: {answer.text.strip()}")


def _root(busybox: Path, programs: Mapping[str, Path]) -> bytes:
    """A root file system of one program under its many names, and some scripts."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as root:
        for folder, mode in (("bin", 0o755), ("etc", 0o755), ("tmp", 0o1777)):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            root.addfile(entry)
        for name, path in {"bin/busybox": busybox, **programs}.items():
            program = tarfile.TarInfo(name)
            program.size, program.mode = path.stat().st_size, 0o755
            with path.open("rb") as content:
                root.addfile(program, content)
        for name in _applets(busybox):
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            root.addfile(link)
    return archive.getvalue()


def _socat() -> Path:
    if found := shutil.which("socat"):
        return Path(found)
    try:
        apt.install("socat")
    except apt.AptError as error:
        raise NoImageError(f"socat is needed: `apt-get install socat` ({error})") from error
    return Path("/usr/bin/socat")


def _alone(program: Path) -> bytes:
    """A root file system of one program and the libraries it is linked with."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", dereference=True) as root:
        for path in (str(program), *_libraries(program)):
            root.add(path, path.lstrip("/"))
    return archive.getvalue()


def _libraries(program: Path) -> list[str]:
    """What the loader needs to run it."""
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    return re.findall(r"(/\S+) \(", listed)


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
