"""What the engine and registries say when they refuse, and whose fault that is; pure."""

import re

from compute_horde.errors import HordeError, JobError
from compute_horde.faults import Cause
from compute_horde.vocabulary import FailureReason, HordeReason

BAD_REQUEST = 400
COMMAND_NOT_FOUND = 127
COMMAND_NOT_EXECUTABLE = 126
# The name becomes part of a path, so what cannot be a name must not get there.
IMAGE_NAME = re.compile(r"[A-Za-z0-9](?!.*(?://|/\.))[A-Za-z0-9._:@+/-]{0,511}")
# What registries and the engine say of an image that is not there for us.
NO_SUCH_IMAGE = (
    "not found",
    "manifest unknown",
    "does not exist",
    "access denied",
    "denied:",
    "unauthorized",
    "no matching manifest",
    "invalid reference",
    "name unknown",
)
# What the engine says when a registry is out of reach, overrun or broken. Each holds a space, which
# no image's name does.
REGISTRY_TROUBLE = re.compile(
    r"toomanyrequests: |too many requests|rate limit"
    r"|http (response )?(status: )?(429|5\d\d)|http (429|5\d\d) response"
    r"|timeout exceeded|i/o timeout|handshake timeout|context deadline exceeded"
    r"|: no such host|server misbehaving|temporary failure in name resolution"
    r"|: connection refused|connection reset by peer|unexpected eof"
    r"|no route to host|network is unreachable"
)
# What an operator asked for, and the engine cannot do.
OPERATORS = ("runtime", "storage-opt", "storage option")
# What the engine calls its own error at the start, though the job asked for it.
UNRUNNABLE = ("unable to find user", "unable to find group", "environment variable")


def check_name(image: str) -> None:
    """Raise `JobError` for a text that can be no image's name."""
    if not IMAGE_NAME.fullmatch(image):
        raise no_image(image[:200], "this is no image name")


def no_image(name: str, detail: str) -> JobError:
    """There is no such image for us."""
    return JobError(FailureReason.DOWNLOAD_FAILED, f"Image {name!r} cannot be fetched: {detail}")


def of_fetch(image: str, status: int, detail: str) -> JobError | HordeError | None:
    """Why an image was not fetched: a registry in trouble is nobody's fault.

    None when it is the engine itself that failed.
    """
    said = detail.lower()
    if status and REGISTRY_TROUBLE.search(said):
        text = f"Image {image!r} cannot be fetched now: {detail}"
        return HordeError(HordeReason.GENERIC_ERROR, text, context=Cause.REGISTRY.context)
    if status == BAD_REQUEST or any(word in said for word in NO_SUCH_IMAGE):
        return no_image(image, detail)
    return None


def of_creation(status: int, detail: str) -> JobError | None:
    """Why a container was not made; None when that is not the job's fault."""
    operators = any(word in detail.lower() for word in OPERATORS)
    return _unstartable(detail) if status == BAD_REQUEST and not operators else None


def of_start(status: int, detail: str) -> JobError | None:
    """Why a container did not start; None when that is not the job's fault."""
    own = status == BAD_REQUEST or any(word in detail for word in UNRUNNABLE)
    return _unstartable(detail) if own else None


def _unstartable(detail: str) -> JobError:
    denied = "permission denied" in detail
    return JobError(
        FailureReason.NONZERO_RETURN_CODE,
        f"Job container could not be started: {detail}",
        exit_status=COMMAND_NOT_EXECUTABLE if denied else COMMAND_NOT_FOUND,
    )
