"""Builds the small container images of the local network, without a registry."""

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
_CACHED = Path.home() / ".cache" / "compute-horde" / "busybox"


log = logging.getLogger(__name__)


class NoImageError(Exception):
    """An image could not be built; the message names the reason or the remedy."""


def static_busybox() -> Path:
    """The path of a statically linked busybox; downloads one where there is none.

    It may start apt, so call it before the supervisor starts. Raises `NoImageError`.
    """
    if found := next((path for path in (_INSTALLED, _CACHED) if _is_static(path)), None):
        return found
    return _download_busybox()


@dataclass(frozen=True, slots=True)
class ImageSpec:
    """An image: busybox, other programs at its root, and Dockerfile instructions (`changes`)."""

    changes: tuple[str, ...]
    programs: Mapping[str, Path] = field(default_factory=dict)


IMAGE_SPECS = {
    BUSYBOX: ImageSpec(('CMD ["sh"]', "ENV PATH=/bin")),
    NOOP: ImageSpec(('ENTRYPOINT ["/bin/true"]',)),
    HASH: ImageSpec(
        ('ENTRYPOINT ["/bin/sh", "/solve.sh"]', "ENV PATH=/bin"), {"solve.sh": _SOLVER}
    ),
}


def build() -> None:
    """Build the images that are missing or differ from their specification.

    Raises `NoImageError`. Without socat only the relay image is missing, and a warning logged.
    """
    busybox = static_busybox()
    for name, spec in IMAGE_SPECS.items():
        _build_image(name, spec, busybox)
    try:
        import_image(
            RELAY, _root_with_libraries(_socat()), ImageSpec(('ENTRYPOINT ["/usr/bin/socat"]',))
        )
    except NoImageError as error:
        log.warning(
            "relay image not built: streaming jobs will fail", extra={"problem": str(error)}
        )


def _build_image(name: str, spec: ImageSpec, busybox: Path) -> None:
    import_image(name, _busybox_root(busybox, spec.programs), spec)


def import_image(name: str, root: bytes, spec: ImageSpec) -> None:
    """Make an image of a root file system, unless it is there; raises `NoImageError`."""
    source = sha256(root + repr(spec.changes).encode()).hexdigest()
    with docker_engine.client() as engine:
        existing = engine.get(f"/images/{name}/json")
        if (
            existing.is_success
            and (existing.json()["Config"]["Labels"] or {}).get(SOURCE) == source
        ):
            return
        repository, _, tag = name.partition(":")
        answer = engine.post(
            "/images/create",
            params={
                "fromSrc": "-",
                "repo": repository,
                "tag": tag or "latest",
                "changes": [*spec.changes, f"LABEL {SOURCE}={source}"],
            },
            content=root,
            headers={"Content-Type": "application/x-tar"},
        )
    if not answer.is_success or '"error"' in answer.text:
        raise NoImageError(f"the engine refused the image {name}: {answer.text.strip()}")


def _busybox_root(busybox: Path, programs: Mapping[str, Path]) -> bytes:
    """A tar archive of a root file system: busybox, a link for each applet, and `programs`."""
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


def _root_with_libraries(program: Path) -> bytes:
    """A tar archive of a root file system: one program and its shared libraries."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", dereference=True) as root:
        for path in (str(program), *shared_libraries(program)):
            root.add(path, path.lstrip("/"))
    return archive.getvalue()


def shared_libraries(program: Path) -> list[str]:
    """The paths of the program's shared libraries and of its loader, by `ldd`."""
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    return re.findall(r"(/\S+) \(", listed)


def _applets(busybox: Path) -> list[str]:
    listed = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True)
    return [name for name in listed.stdout.split() if name != "busybox"]


def _is_static(program: Path) -> bool:
    """Whether it needs no loader: a dynamic program names one near the start of its file."""
    return program.is_file() and b"/ld-" not in program.read_bytes()[:4096]


def _download_busybox() -> Path:
    """Download Debian's package and copy busybox out of it; this needs no root."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            apt.unpack("busybox-static", Path(folder))
        except apt.AptError as error:
            raise NoImageError(
                f"a static busybox is needed: `apt-get install busybox-static` ({error})"
            ) from error
        found = next(Path(folder, "tree").glob("**/bin/busybox"))
        _CACHED.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(found, _CACHED)
    return _CACHED
