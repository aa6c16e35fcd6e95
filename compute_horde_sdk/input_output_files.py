"""Packs local files into input volumes and writes a job's artifacts to local files."""

import base64
import io
import os
import stat
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePath, PurePosixPath
from typing import NoReturn
from urllib.parse import urlsplit

from compute_horde.errors import ComputeHordeError
from compute_horde.volumes import path_problem
from compute_horde_sdk import local_files
from compute_horde_sdk.errors import InvalidRequestError
from compute_horde_sdk.job_result import ComputeHordeJobResult, missing
from compute_horde_sdk.local_files import STDIN, SkippedInput, Source
from compute_horde_sdk.volumes import (
    VOLUME_MOUNT,
    HTTPInputVolume,
    InlineInputVolume,
    InputVolume,
)

# Inline inputs cross the network in base64, in one frame of 1 MiB with the rest of the job.
MAX_INLINE_CHARS = 1_000_000
# Larger inputs are rejected without trying to compress them.
MAX_RAW_BYTES = 64 * 2**20
SHOWN_FILES = 10
URLS = ("http://", "https://")
# All zip entries have the same date, so that the same folder gives the same bytes.
EPOCH = (1980, 1, 1, 0, 0, 0)
FILE_MODE = 0o644
PROGRAM_MODE = 0o755
FOLDER_MODE = stat.S_IFDIR | 0o755


def input_volumes(
    inputs: Iterable[tuple[str | PurePath, str | PurePath]],
    skip: Callable[[SkippedInput], None] = lambda skipped: None,
) -> dict[str, InputVolume]:
    """Volumes for pairs of a local file, folder or URL and its remote path below /volume/.

    `-` is stdin. Parts of a folder that cannot be sent are passed to `skip`. Raises
    `InvalidRequestError` for invalid or conflicting paths and for inputs that are too large.
    """
    volumes: dict[str, InputVolume] = {}
    packs: dict[str, dict[str, Source]] = {}
    taken = _TakenPaths()
    for one, other in inputs:
        local, path = str(one), _mount_path(str(other))
        if local.startswith(URLS):
            named = path + PurePosixPath(urlsplit(local).path).name if path[-1] == "/" else path
            taken.add(named, local)
            volumes[named] = HTTPInputVolume(url=local)
            continue
        folder, files = _planned_files(local, path, skip)
        for name in files:
            taken.add(f"{folder.rstrip('/')}/{name}", local)
        packs.setdefault(folder, {}).update(files)
    taken.check_folders()
    every = [file for files in packs.values() for file in files.values()]
    if sum(file.size for file in every) > MAX_RAW_BYTES:
        _raise_too_large(every)
    packed = {folder: _zip(files) for folder, files in packs.items()}
    if sum(len(volume.contents) for volume in packed.values()) > MAX_INLINE_CHARS:
        _raise_too_large(every)
    return volumes | packed


class _TakenPaths:
    """The paths in the container that inputs go to, and which input goes there."""

    def __init__(self) -> None:
        self._inputs: dict[str, str] = {}

    def add(self, path: str, local: str) -> None:
        """Record a file, or a folder that ends with `/`; raises `InvalidRequestError` for two."""
        if other := self._inputs.get(path):
            raise InvalidRequestError(
                f"two inputs go to {path}, which can be only one of them: {other!r} and {local!r}"
            )
        self._inputs[path] = local

    def check_folders(self) -> None:
        """Raise `InvalidRequestError` when a file is where another input needs a folder."""
        for path, local in self._inputs.items():
            for parent in map(str, PurePosixPath(path).parents):
                if other := self._inputs.get(parent):
                    raise InvalidRequestError(
                        f"the input {local!r} goes to {path}, but {parent} is a file, which the "
                        f"input {other!r} goes to; give one of them another path"
                    )


def _mount_path(remote: str) -> str:
    path = remote if remote.startswith("/") else VOLUME_MOUNT + remote
    bad = path_problem(path.removeprefix(VOLUME_MOUNT))
    if bad or not f"{path}/".startswith(VOLUME_MOUNT):
        raise InvalidRequestError(f"inputs go below {VOLUME_MOUNT}, without `..`: {remote!r}")
    return path


def _planned_files(
    local: str, remote: str, skip: Callable[[SkippedInput], None]
) -> tuple[str, dict[str, Source]]:
    """The folder that `local` goes to, and the files there."""
    source = local_files.open_source(local, MAX_RAW_BYTES)
    if source is None:
        return _mount(remote), local_files.files_below(local_files.expanded(local), skip)
    if remote.endswith("/") and local == STDIN:
        raise InvalidRequestError(f"stdin has no name: give a file name below {remote} for it")
    where = PurePosixPath(remote, source.path.name) if remote.endswith("/") else PurePath(remote)
    return _mount(str(where.parent)), {where.name: source}


def _mount(folder: str) -> str:
    plain = folder.rstrip("/")
    return VOLUME_MOUNT if f"{plain}/" == VOLUME_MOUNT else plain


def _zip(files: Mapping[str, Source]) -> InlineInputVolume:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, source in files.items():
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            mode = PROGRAM_MODE if source.is_program else FILE_MODE
            entry.external_attr = (FOLDER_MODE if source.is_folder else mode) << 16
            archive.writestr(entry, source.read())
    return InlineInputVolume(contents=base64.b64encode(packed.getvalue()).decode())


def _raise_too_large(files: Iterable[Source]) -> NoReturn:
    sizes = {source.path: source.size for source in files}
    largest = sorted(sizes, key=sizes.__getitem__, reverse=True)[:SHOWN_FILES]
    listing = "\n".join(f"  {sizes[path]:>13,}  {path}" for path in largest)
    raise InvalidRequestError(
        "the inputs are too large to travel with the job: compressed, all of them together may "
        f"have {MAX_INLINE_CHARS * 3 // 4:,} bytes. Put large files behind a URL and give the URL "
        f"in place of the local path. The largest files (bytes):\n{listing}"
    )


class MissingOutput(ComputeHordeError):
    """The job did not leave a file that was requested as output."""


def save_outputs(
    result: ComputeHordeJobResult,
    outputs: Mapping[str, str],
    artifacts_dir: str,
    on_saved: Callable[[Path], None] = lambda path: None,
) -> list[Path]:
    """Write the artifacts named in `outputs` ({remote: local}) and return the files written.

    `on_saved` is called with each. Raises `MissingOutput` if any did not come back, after writing
    all others.
    """
    written: list[Path] = []
    problems: list[str] = []
    for remote, local in outputs.items():
        source = str(PurePosixPath(artifacts_dir, remote))
        lost = missing(result.left_out, source)
        try:
            saved = write_artifacts(result.artifacts, {remote: local}, artifacts_dir)
        except MissingOutput as exc:
            problems.append("" if lost else str(exc))
            saved = []
        for path in saved:
            on_saved(path)
        written += saved
        problems += (f"{one}" for one in lost if source not in result.artifacts)
    listing = list(dict.fromkeys(filter(None, problems)))
    if listing:
        raise MissingOutput("not all requested outputs came back: " + "; ".join(listing))
    return written


def write_artifacts(
    artifacts: Mapping[str, bytes], outputs: Mapping[str, str], artifacts_dir: str
) -> list[Path]:
    """Write the artifacts named in `outputs` ({remote: local}) and return the files written.

    Artifact names are untrusted: nothing is written outside the local targets. Raises
    `MissingOutput` for an output that `artifacts` does not have.
    """
    written: list[Path] = []
    for remote, local in outputs.items():
        source = str(PurePosixPath(artifacts_dir, remote))
        if source in artifacts:
            target = local_files.expanded(local)
            if local.endswith("/") or target.is_dir():
                target = target / PurePosixPath(source).name
            _write(target, artifacts[source])
            written.append(target)
            continue
        found = _below(artifacts, source)
        if not found:
            raise MissingOutput(_missing(artifacts, source))
        written += [_write_below(local_files.expanded(local), *one) for one in found.items()]
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
    bad = path_problem(relative)
    if bad or not relative or relative.endswith("/"):
        reason = bad.reason if bad else "names no file"
        raise ComputeHordeError(f"the artifact {relative!r} {reason}; it was not written")
    target = folder / relative
    folder.mkdir(parents=True, exist_ok=True)
    root = folder.resolve()
    # Symbolic links inside the folder could lead out of it.
    if not target.parent.resolve().is_relative_to(root):
        raise ComputeHordeError(
            f"the artifact {relative!r} would be written outside {folder}; it was not"
        )
    _write(target, data)
    return target


def _mode(target: Path) -> int:
    if target.exists() and not target.is_symlink():
        there = target.stat().st_mode
        if not stat.S_ISREG(there) and not stat.S_ISDIR(there):
            raise ComputeHordeError(f"{target} is no ordinary file; it was left as it is")
        return stat.S_IMODE(there)
    umask = os.umask(0)
    os.umask(umask)
    return 0o666 & ~umask


def _write(target: Path, data: bytes) -> None:
    """Write a file atomically; a symbolic link at the target is replaced, not followed.

    A file that exists keeps its mode, a new one gets what the umask allows. Raises
    `ComputeHordeError` for a device or a pipe, which would be replaced.
    """
    mode = _mode(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    file, name = tempfile.mkstemp(dir=target.parent, prefix=".compute-horde-")
    fresh = Path(name)
    try:
        with os.fdopen(file, "wb") as stream:
            stream.write(data)
        fresh.chmod(mode)
        fresh.replace(target)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
