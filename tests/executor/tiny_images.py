"""Tiny images for a real engine, with whatever files and settings a test wants in them."""

import io
import subprocess
import tarfile

from localnet import images

APPLETS = "sh true false echo cat ls ln mkdir mkfifo sleep yes dd head rm id touch seq env df kill"


def folder(name: str, mode: int = 0o755) -> tarfile.TarInfo:
    """An empty folder of an image."""
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = tarfile.DIRTYPE, mode
    return entry


def special(name: str, kind: bytes, *, target: str = "") -> tarfile.TarInfo:
    """A link, FIFO or device of an image."""
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname, entry.mode = kind, target, 0o666
    # The numbers of /dev/urandom.
    entry.devmajor, entry.devminor = 1, 9
    return entry


def imported(
    name: str,
    *changes: str,
    files: dict[str, bytes] | None = None,
    entries: tuple[tarfile.TarInfo, ...] = (),
) -> str:
    """An image of busybox and these files; `changes` are lines of a Dockerfile."""
    options = [part for change in ("ENV PATH=/bin", *changes) for part in ("-c", change)]
    subprocess.run(
        ["docker", "import", *options, "-", name],
        input=_root(files or {}, entries),
        check=True,
        capture_output=True,
    )
    return name


def _root(files: dict[str, bytes], entries: tuple[tarfile.TarInfo, ...]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as root:
        root.addfile(folder("bin"))
        root.addfile(folder("tmp", 0o1777))
        root.add(images.static_busybox(), "bin/busybox")
        for name in APPLETS.split():
            root.addfile(special(f"bin/{name}", tarfile.SYMTYPE, target="busybox"))
        for entry in entries:
            root.addfile(entry)
        for path, data in files.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(data)
            root.addfile(entry, io.BytesIO(data))
    return packed.getvalue()
