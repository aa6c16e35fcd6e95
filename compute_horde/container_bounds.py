"""Limits on what a job may pass to a container engine, in bytes and entries: one table; pure.

Engines check little of this themselves. A program name of 140 000 characters, for one, makes runc
and dockerd wait for each other for good, because the error that holds it does not fit a pipe.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

KIB = 1024
# Bytes that the kernel needs per argument or variable besides its text: a NUL and a pointer.
ENTRY_OVERHEAD_BYTES = 9


@dataclass(frozen=True, slots=True)
class Bound:
    """The longest entry, in bytes of UTF-8, and the largest number of entries."""

    each_bytes: int
    entries: int = 1


# Paths and names appear in engine errors, which must stay well below a pipe's 64 KiB.
PROGRAM = Bound(4 * KIB - 1)
USER = Bound(4 * KIB - 1)
# The kernel accepts paths of 4 KiB, including the folder that an engine puts before them.
PATH = Bound(2 * KIB)
# The kernel's limit on a path component; engines follow at most 255 components.
PATH_PART_BYTES = 255
PATH_PARTS = 128
# The kernel accepts an argument or variable (`NAME=value`) of up to 128 KiB with its NUL.
ARGUMENTS = Bound(128 * KIB - 1, 10_000)
# Engines compare each variable of the job with each variable of the image.
VARIABLES = Bound(128 * KIB - 1, 4096)
# All arguments and variables together, as the kernel counts them; its limit is about twice this.
TOTAL_BYTES = 1024 * KIB

# What an image may define itself.
IMAGE_VARIABLES = Bound(128 * KIB - 1, 1024)
IMAGE_LABELS = Bound(64 * KIB, 1024)
IMAGE_LABELS_TOTAL_BYTES = 1024 * KIB
IMAGE_VOLUMES = Bound(PATH.each_bytes, 64)
IMAGE_PORTS = Bound(64, 1024)


def excess(
    args: Sequence[str], env: Mapping[str, str], artifacts_dir: str | None = None
) -> str | None:
    """Why these exceed the limits, or None when they do not."""
    return (
        args_excess(args)
        or env_excess(env)
        or _total_excess([*args, *_joined(env)])
        or beyond(PATH, [artifacts_dir or ""], "artifacts_dir")
        or path_excess(artifacts_dir or "")
    )


def path_excess(path: str) -> str | None:
    """Why a path has too long or too many components, or None."""
    parts = path.split("/")
    if len(parts) > PATH_PARTS:
        return f"a path has more than {PATH_PARTS} parts"
    if any(utf8_bytes(part) > PATH_PART_BYTES for part in parts):
        return f"a path has a part of more than {PATH_PART_BYTES} bytes"
    return None


def args_excess(args: Collection[str]) -> str | None:
    """Why these arguments exceed their limits, or None."""
    return beyond(ARGUMENTS, args, "args") or _total_excess(args)


def env_excess(env: Mapping[str, str]) -> str | None:
    """Why these variables exceed their limits, or None."""
    # Counted before joining the texts, which takes memory.
    if len(env) > VARIABLES.entries:
        return f"env has more than {VARIABLES.entries} entries"
    if any(not name or "=" in name or "\0" in name for name in env):
        return "a name in env is empty or holds `=` or a NUL"
    return beyond(VARIABLES, _joined(env), "env") or _total_excess(_joined(env))


def _joined(env: Mapping[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in env.items()]


def beyond(bound: Bound, entries: Collection[str], what: str) -> str | None:
    """Why `entries`, called `what` in the text, exceed `bound`, or None."""
    if len(entries) > bound.entries:
        return f"{what} has more than {bound.entries} entries"
    for entry in entries:
        if utf8_bytes(entry) > bound.each_bytes:
            one = what if bound.entries == 1 else f"an entry of {what}"
            return f"{one} is longer than {bound.each_bytes} bytes"
    return None


def _total_excess(entries: Collection[str]) -> str | None:
    if sum(utf8_bytes(one) + ENTRY_OVERHEAD_BYTES for one in entries) <= TOTAL_BYTES:
        return None
    return f"args and env may take {TOTAL_BYTES} bytes together"


def utf8_bytes(text: str) -> int:
    """The length of a text in UTF-8."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _within(excess: Callable[[Any], str | None]) -> Callable[[Any], Any]:
    """A pydantic validator that refuses values for which `excess` returns a reason."""

    def checked(value: Any) -> Any:
        if why := excess(value):
            raise ValueError(why)
        return value

    return checked


def _texts(value: Any) -> Any:
    """Refuse at the first variable that is not text, without looking at the others."""
    if isinstance(value, Mapping):
        if len(value) > VARIABLES.entries:
            raise ValueError(f"env has more than {VARIABLES.entries} entries")
        for name, text in value.items():
            if not isinstance(text, str):
                raise ValueError(f"the value of {name[:100]!r} is no text")
    return value


# Types of request fields, so that the sender gets the error in its response.
Arguments = Annotated[
    list[str],
    Field(max_length=ARGUMENTS.entries, fail_fast=True),
    AfterValidator(_within(args_excess)),
]
Variables = Annotated[
    dict[str, str],
    Field(max_length=VARIABLES.entries),
    AfterValidator(_within(env_excess)),
    BeforeValidator(_texts),
]
