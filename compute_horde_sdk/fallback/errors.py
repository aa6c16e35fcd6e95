"""What the fallback raises."""

from compute_horde_sdk.errors import ComputeHordeError


class FallbackError(ComputeHordeError):
    """The fallback cannot do this; the message says what to do instead."""


class FallbackNotFoundError(FallbackError):
    """The job does not exist, or its machine is gone."""


class FallbackJobTimeoutError(FallbackError, TimeoutError):
    """The job did not get there in the time given; it may still go on, and cost."""
