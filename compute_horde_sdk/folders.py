"""Local files as a job's inputs, and a job's artifacts as local files."""

import base64
import io
import os
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import NoReturn
from urllib.parse import urlsplit

from compute_horde.errors import ComputeHordeError
from compute_horde.volumes import taint
from compute_horde_sdk.volumes import (
    VOLUME_MOUNT,
    HTTPInputVolume,
    InlineInputVolume,
    InputVolume,
)

# Inline inputs cross the network in one frame of 1 MiB, in base64, beside the rest of the job.
MAX_INLINE_CHARS = 1_000_000
# Beyond this nobody needs to try how small it packs.
MAX_RAW_BYTES = 64 * 2**20
SHOWN_FILES = 10
URLS = ("http://", "https://")
# All entries carry one date: the same folder then gives the same bytes.
EPOCH = (1980, 1, 1, 0, 0, 0)
FILE_MODE = 0o644
PROGRAM_MODE = 0o755


def input_volumes(inputs: Iterable[tuple[str, str]]) -> dict[str, InputVolume]:
    """Volumes for pairs of a local file, folder or URL and its remote path below /volume/."""
    volumes: dict[str, InputVolume] = {}
    packs: dict[str, dict[str, Path]] = {}
    for local, remote in inputs:
        path = _mounted(remote)
        if local.startswith(URLS):
            named = path + PurePosixPath(urlsplit(local).path).name if path[-1] == "/" else path
            volumes[named] = HTTPInputVolume(url=local)
            continue
        folder, files = _planned(local, path)
        pack = packs.setdefault(folder, {})
        if clash := pack.keys() & files.keys():
            raise ValueError(f"two inputs go to {folder.rstrip('/')}/{min(clash)}")
        pack.update(files)
    every = [file for files in packs.values() for file in files.values()]
    if sum(file.stat().st_size for file in every) > MAX_RAW_BYTES:
        _refuse(every)
    packed = {folder: _packed(files) for folder, files in packs.items()}
    if sum(len(volume.contents) for volume in packed.values()) > MAX_INLINE_CHARS:
        _refuse(every)
    return volumes | packed


def _mounted(remote: str) -> str:
    path = remote if remote.startswith("/") else VOLUME_MOUNT + remote
    bad = taint(path.removeprefix(VOLUME_MOUNT))
    if bad or not f"{path}/".startswith(VOLUME_MOUNT):
        raise ValueError(f"inputs go below {VOLUME_MOUNT}, without `..`: {remote!r}")
    return path


def _planned(local: str, remote: str) -> tuple[str, dict[str, Path]]:
    """The folder that `local` goes to, and the files there."""
    path = Path(local).expanduser()
    if path.is_dir():
        return _mount(remote), {str(file.relative_to(path)): file for file in _files(path)}
    if not path.is_file():
        raise ComputeHordeError(f"there is no file or folder {local!r} to send")
    if remote.endswith("/"):
        return _mount(remote), {path.name: path}
    where = PurePosixPath(remote)
    return _mount(str(where.parent)), {where.name: path}


def _mount(folder: str) -> str:
    plain = folder.rstrip("/")
    return VOLUME_MOUNT if f"{plain}/" == VOLUME_MOUNT else plain


def _files(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            if (file := Path(root, name)).is_file():
                yield file


def _packed(files: Mapping[str, Path]) -> InlineInputVolume:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, file in files.items():
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            mode = PROGRAM_MODE if os.access(file, os.X_OK) else FILE_MODE
            entry.external_attr = mode << 16
            archive.writestr(entry, file.read_bytes())
    return InlineInputVolume(contents=base64.b64encode(packed.getvalue()).decode())


def _refuse(files: Iterable[Path]) -> NoReturn:
    sizes = {file: file.stat().st_size for file in files}
    largest = sorted(sizes, key=sizes.__getitem__, reverse=True)[:SHOWN_FILES]
    told = "\n".join(f"  {sizes[file]:>13,}  {file}" for file in largest)
    raise ComputeHordeError(
        "the inputs are too large to travel with the job: packed, all of them together may have "
        f"{MAX_INLINE_CHARS * 3 // 4:,} bytes. Put what is large behind a URL and give the URL in "
        f"place of the local path. The largest files (bytes):\n{told}"
    )


class MissingOutput(ComputeHordeError):
    """The job did not leave what was to be brought back."""


def save(
    artifacts: Mapping[str, bytes], outputs: Mapping[str, str], artifacts_dir: str
) -> list[Path]:
    """Write what `outputs` (`{remote: local}`) names of `artifacts`; the files written.

    Names come from strangers: nothing is written outside the local targets, whatever they are.
    """
    written: list[Path] = []
    for remote, local in outputs.items():
        source = str(PurePosixPath(artifacts_dir, remote))
        if source in artifacts:
            target = Path(local).expanduser()
            if local.endswith("/") or target.is_dir():
                target = target / PurePosixPath(source).name
            _write(target, artifacts[source])
            written.append(target)
            continue
        found = _below(artifacts, source)
        if not found:
            raise MissingOutput(_missing(artifacts, source))
        written += [_write_below(Path(local).expanduser(), *one) for one in found.items()]
    return written


def _missing(artifacts: Mapping[str, bytes], source: str) -> str:
    there = ", ".join(sorted(map(repr, artifacts))) or "nothing"
    return (
        f"the job left no {source!r}; it left {there}. Only files directly in the artifacts "
        "directory come back, each below 1 MB"
    )


def _below(artifacts: Mapping[str, bytes], folder: str) -> dict[str, bytes]:
    start = folder.rstrip("/") + "/"
    return {
        path.removeprefix(start): data for path, data in artifacts.items() if path.startswith(start)
    }


def _write_below(folder: Path, relative: str, data: bytes) -> Path:
    bad = taint(relative)
    if bad or not relative or relative.endswith("/"):
        reason = bad.reason if bad else "names no file"
        raise ComputeHordeError(f"the artifact {relative!r} {reason}; it was not written")
    target = folder / relative
    folder.mkdir(parents=True, exist_ok=True)
    root = folder.resolve()
    # Links inside the folder could lead out of it.
    if not target.parent.resolve().is_relative_to(root):
        raise ComputeHordeError(
            f"the artifact {relative!r} would be written outside {folder}; it was not"
        )
    _write(target, data)
    return target


def _write(target: Path, data: bytes) -> None:
    """Whole or not at all; a link at the target is replaced, not followed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    file, name = tempfile.mkstemp(dir=target.parent, prefix=".compute-horde-")
    fresh = Path(name)
    try:
        with os.fdopen(file, "wb") as stream:
            stream.write(data)
        fresh.chmod(FILE_MODE)
        fresh.replace(target)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
