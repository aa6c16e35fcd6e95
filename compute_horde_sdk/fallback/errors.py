"""The exceptions of the fallback."""

from compute_horde_sdk.errors import ComputeHordeError


class FallbackError(ComputeHordeError):
    """The fallback cannot do this; the message says what to do instead."""


class FallbackNotFoundError(FallbackError):
    """The job does not exist, or its machine is gone."""


class FallbackJobTimeoutError(FallbackError, TimeoutError):
    """The job did not end within the timeout; it may still be running, and cost money."""
