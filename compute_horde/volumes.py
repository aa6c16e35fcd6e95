"""Input volumes of a job; signatures cover the order of the fields."""

from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

MAX_VOLUMES = 1000


class _Volume(BaseModel):
    model_config = ConfigDict(frozen=True)


class InlineVolume(_Volume):
    """`contents` is a base64 zip, extracted into `relative_path`."""

    volume_type: Literal["inline"] = "inline"
    contents: str
    relative_path: str | None = None


class ZipUrlVolume(_Volume):
    """A zip behind the URL in `contents`, extracted into `relative_path`."""

    volume_type: Literal["zip_url"] = "zip_url"
    contents: str
    relative_path: str | None = None


class SingleFileVolume(_Volume):
    """One file from a URL, saved as `relative_path`."""

    volume_type: Literal["single_file"] = "single_file"
    url: str
    relative_path: str


class HuggingfaceVolume(_Volume):
    """A snapshot of a Hugging Face repository."""

    volume_type: Literal["huggingface_volume"] = "huggingface_volume"
    repo_id: str
    repo_type: str | None = None
    revision: str | None = None
    relative_path: str | None = None
    allow_patterns: str | list[str] | None = None
    token: str | None = None


SimpleVolume = Annotated[
    InlineVolume | ZipUrlVolume | SingleFileVolume | HuggingfaceVolume,
    Field(discriminator="volume_type"),
]


class MultiVolume(_Volume):
    """Several volumes, fetched in order."""

    volume_type: Literal["multi_volume"] = "multi_volume"
    volumes: list[SimpleVolume] = Field(max_length=MAX_VOLUMES)


Volume = Annotated[
    InlineVolume | ZipUrlVolume | SingleFileVolume | HuggingfaceVolume | MultiVolume,
    Field(discriminator="volume_type"),
]


class UnsafePath(NamedTuple):
    """A requested path, and why it may not be used."""

    path: str
    reason: str


def path_problem(relative_path: str | None) -> UnsafePath | None:
    """Why `relative_path` may not be used below a job directory, or None when it may."""
    if not relative_path:
        return None
    parts = relative_path.removesuffix("/").split("/")
    if "\0" in relative_path or "\\" in relative_path:
        return UnsafePath(relative_path, "holds a NUL or a backslash")
    if PurePosixPath(relative_path).is_absolute():
        return UnsafePath(relative_path, "is absolute")
    if any(part in {"", ".", ".."} for part in parts):
        return UnsafePath(relative_path, "has an empty, `.` or `..` component")
    if any(len(part.encode("utf-8", "surrogatepass")) > 255 for part in parts):
        return UnsafePath(relative_path, "has a component over 255 bytes")
    return None


def simple_volumes(volume: Volume | None) -> list[SimpleVolume]:
    """The simple volumes in `volume`, in order."""
    match volume:
        case None:
            return []
        case MultiVolume():
            return list(volume.volumes)
        case _:
            return [volume]


def from_members(members: list[Any]) -> Volume | None:
    """The volume with the members in a job's signed text, in its canonical form."""
    return MultiVolume(volumes=members) if members else None


def canonical(volume: Volume | None) -> Volume | None:
    """The same volume in its canonical form: equal signed texts give equal objects."""
    if isinstance(volume, MultiVolume):
        return None if volume == MultiVolume(volumes=[]) else volume
    return volume and MultiVolume(volumes=[volume])


def first_unsafe_path(volume: Volume | None) -> UnsafePath | None:
    """The first path in `volume` that would leave the job's directory, or None."""
    return next(
        (bad for one in simple_volumes(volume) if (bad := path_problem(one.relative_path))), None
    )
