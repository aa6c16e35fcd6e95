"""Errors of fetching an image; their texts contain nothing that a registry sent."""

from compute_horde.errors import HordeError, JobError
from compute_horde.faults import Cause
from compute_horde.vocabulary import FailureReason, HordeReason

LONGEST_NAME = 512
TOO_MANY_REQUESTS = 429
NO_ACCESS = frozenset({401, 403})
NOT_FOUND = 404
SERVER_ERRORS = range(500, 600)


class ImageError(JobError):
    """The image, its name or its registry cannot be used: the user's fault."""

    def __init__(self, problem: str) -> None:
        super().__init__(FailureReason.DOWNLOAD_FAILED, f"The image cannot be fetched: {problem}")
        self.problem = problem


class RegistryUnavailableError(HordeError):
    """The registry is unreachable, overloaded or broken at present: not the job's fault."""

    def __init__(self, problem: str) -> None:
        text = f"The image cannot be fetched now: {problem}"
        super().__init__(HordeReason.GENERIC_ERROR, text, context=Cause.REGISTRY.context)
        self.problem = problem


def with_image_name(
    error: ImageError | RegistryUnavailableError, image: str
) -> JobError | HordeError:
    """The same error with the image's name in its text, as its user wrote it."""
    image = image[:LONGEST_NAME]
    if isinstance(error, ImageError):
        text = f"Image {image!r} cannot be fetched: {error.problem}"
        return JobError(FailureReason.DOWNLOAD_FAILED, text)
    text = f"Image {image!r} cannot be fetched now: {error.problem}"
    return HordeError(HordeReason.GENERIC_ERROR, text, context=Cause.REGISTRY.context)


def from_status(status: int) -> ImageError | RegistryUnavailableError:
    """The error for an HTTP status of a registry other than 2xx."""
    if status == TOO_MANY_REQUESTS:
        return RegistryUnavailableError("its registry is asked too often (HTTP 429)")
    if status in SERVER_ERRORS:
        return RegistryUnavailableError(f"its registry is in trouble (HTTP {status})")
    if status in NO_ACCESS:
        return ImageError(f"its registry does not let everybody pull it (HTTP {status})")
    if status == NOT_FOUND:
        return ImageError("its registry does not have it (HTTP 404)")
    return ImageError(f"its registry answered HTTP {status}")
