"""Checks everything from a job and its image that is passed to the container engine; pure."""

from collections.abc import Iterator, Mapping, Sequence

from compute_horde import container_bounds as bounds
from compute_horde.errors import JobError
from compute_horde.mount_paths import is_forbidden, normalized
from executor.sandbox.engine import Image
from executor.sandbox.engine_faults import not_started


def check(image: Image, command: Sequence[str], env: Mapping[str, str], *, user: str) -> None:
    """Raise `JobError` for input that makes engines hang or that no kernel can run."""
    if why := next(_problems(image, command, env, user), None):
        raise not_started(why)


def _problems(
    image: Image, command: Sequence[str], env: Mapping[str, str], user: str
) -> Iterator[str]:
    labels = [f"{name}={value}" for name, value in image.labels.items()]
    args = [*image.entrypoint, *(command or image.command)]
    names = {entry.partition("=")[0]: entry.partition("=")[2] for entry in image.env}
    variables = names | dict(env)
    unnamed = "the image's environment holds an entry without a name" if "" in names else None
    found = (
        bounds.beyond(bounds.IMAGE_VARIABLES, image.env, "the image's environment"),
        bounds.beyond(bounds.IMAGE_LABELS, labels, "the image's labels"),
        unnamed,
        _labels_excess(labels),
        bounds.beyond(bounds.IMAGE_VOLUMES, image.volumes, "the image's list of volumes"),
        _path_excess([image.working_dir, *image.volumes]),
        bounds.beyond(bounds.IMAGE_PORTS, image.ports, "the image's list of ports"),
        bounds.beyond(bounds.PATH, [image.working_dir], "the image's working directory"),
        bounds.beyond(bounds.USER, [user], "the user's name"),
        bounds.beyond(bounds.PROGRAM, args[:1], "the program's name"),
        bounds.excess(args, variables),
        _nul_in(args, variables),
    )
    return (why for why in found if why)


def volumes_of(image: Image) -> tuple[str, ...]:
    """Where the engine mounts the image's volumes; raises `JobError` for a forbidden path."""
    clean = tuple(dict.fromkeys(map(normalized, image.volumes)))
    for path in clean:
        if not path.startswith("/") or path == "/":
            raise _bad_volume(path, "is not an absolute path below /")
        if is_forbidden(path):
            raise _bad_volume(path, "is a part of the system")
        if ":" in path or "\0" in path:
            raise _bad_volume(path, "holds a colon or a NUL")
    return clean


def _bad_volume(path: str, why: str) -> JobError:
    return not_started(f"the image's volume {path[:200]!r} {why}")


def _labels_excess(labels: Sequence[str]) -> str | None:
    most = bounds.IMAGE_LABELS_TOTAL_BYTES
    if sum(map(bounds.utf8_bytes, labels)) <= most:
        return None
    return f"the image's labels take more than {most} bytes together"


def _path_excess(paths: Sequence[str]) -> str | None:
    return next((why for path in paths if (why := bounds.path_excess(path))), None)


def _nul_in(args: Sequence[str], variables: Mapping[str, str]) -> str | None:
    """The problem if a text holds a NUL, at which texts end for the kernel, else None."""
    texts = (*args, *variables, *variables.values())
    return (
        "an argument or environment variable holds a NUL"
        if any("\0" in text for text in texts)
        else None
    )
