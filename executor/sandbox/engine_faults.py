"""Decides from the engine's error whether a job is at fault; pure."""

import re

from compute_horde.errors import JobError
from compute_horde.faults import JobCause
from compute_horde.vocabulary import FailureReason

NOT_STARTED = "Job container could not be started"
BAD_REQUEST = 400
COMMAND_NOT_FOUND = 127
COMMAND_NOT_EXECUTABLE = 126
# The name becomes part of a URL path of the engine's API, so an invalid one must not get there.
IMAGE_NAME = re.compile(r"[A-Za-z0-9](?!.*(?://|/\.))[A-Za-z0-9._:@+/-]{0,511}")
# In errors about settings of the operator that the engine does not support.
OPERATORS = ("runtime", "storage-opt", "storage option")
# In errors that the engine reports as its own at the start, although the job caused them.
UNRUNNABLE = ("unable to find user", "unable to find group", "environment variable")


def check_name(image: str) -> None:
    """Raise `JobError` for an invalid image name."""
    if not IMAGE_NAME.fullmatch(image):
        raise image_error(image[:200], "this is no image name")


def image_error(name: str, detail: str) -> JobError:
    """The error for an image that cannot be fetched."""
    return JobError(FailureReason.DOWNLOAD_FAILED, f"Image {name!r} cannot be fetched: {detail}")


def creation_error(status: int, detail: str) -> JobError | None:
    """The error for a container that was not created; None when it is not the job's fault."""
    operators = any(word in detail.lower() for word in OPERATORS)
    return _unstartable(detail) if status == BAD_REQUEST and not operators else None


def unrequested_mounts(paths: set[str]) -> JobError:
    """The error for an image that made the engine mount unrequested volumes."""
    shown = ", ".join(sorted(paths))[:200]
    return not_started(f"the image has volumes without a limit at {shown}")


def start_error(status: int, detail: str) -> JobError | None:
    """The error for a container that did not start; None when it is not the job's fault."""
    own = status == BAD_REQUEST or any(word in detail for word in UNRUNNABLE)
    return _unstartable(detail) if own else None


def _unstartable(detail: str) -> JobError:
    denied = "permission denied" in detail
    return JobError(
        FailureReason.NONZERO_RETURN_CODE,
        f"{NOT_STARTED}: {detail}",
        exit_status=COMMAND_NOT_EXECUTABLE if denied else COMMAND_NOT_FOUND,
        context=JobCause.NOT_STARTED.context,
    )


def not_started(why: str) -> JobError:
    """The error for a job whose container the executor refuses to start."""
    return JobError(
        FailureReason.UNKNOWN, f"{NOT_STARTED}: {why}", context=JobCause.NOT_STARTED.context
    )
