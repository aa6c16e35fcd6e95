"""Checks the local targets of outputs before a job is sent, so that no result is lost later."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from compute_horde_sdk.errors import InvalidRequestError
from compute_horde_sdk.local_files import expanded

URLS = ("http://", "https://")


def check(outputs: Mapping[str, str], artifacts_dir: str) -> None:
    """Raise `InvalidRequestError` for an output that could not be written to its local target."""
    taken: dict[Path, str] = {}
    for remote, local in outputs.items():
        if local.startswith(URLS):
            raise InvalidRequestError(
                f"{local!r} is a URL, but outputs are saved on this machine. To let the job's "
                "machine upload to it, use output_volumes with HTTPOutputVolume in Python"
            )
        source = _source(remote, artifacts_dir)
        target = expanded(local)
        if source == PurePosixPath(artifacts_dir):
            _check_folder(target)
            continue
        if local.endswith("/") or target.is_dir():
            target = target / source.name
        if other := taken.get(target.absolute()):
            raise InvalidRequestError(f"two outputs go to {target}: {other!r} and {remote!r}")
        taken[target.absolute()] = remote
        _check_regular(target)
        _check_folder(target.parent)


def _source(remote: str, artifacts_dir: str) -> PurePosixPath:
    """The path in the container that `remote` names."""
    path = PurePosixPath(os.path.normpath(PurePosixPath(artifacts_dir, remote)))
    root = PurePosixPath(os.path.normpath(artifacts_dir))
    if path != root and not path.is_relative_to(root):
        raise InvalidRequestError(
            f"the output {remote!r} is outside of the artifacts directory {artifacts_dir}, and "
            "only files in there come back; have the job write there, or choose another directory "
            "with --artifacts-dir"
        )
    return path


def _check_regular(target: Path) -> None:
    """Raise `InvalidRequestError` for a device, a pipe or a link, which saving would replace."""
    if os.path.lexists(target) and (target.is_symlink() or not target.is_file()):
        raise InvalidRequestError(
            f"{target} is no ordinary file, and saving would put one in its place; name another "
            "target"
        )


def _check_folder(folder: Path) -> None:
    """Raise `InvalidRequestError` unless files can be created in `folder`, which may not exist."""
    there = folder.absolute()
    while not os.path.lexists(there) and there != there.parent:
        there = there.parent
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as exc:
        raise InvalidRequestError(
            f"outputs cannot be written to {folder}: {there}: {exc.strerror}"
        ) from exc
