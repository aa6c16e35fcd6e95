"""The public API of the fallback: runs the same job on a cloud machine through SkyPilot."""

from compute_horde_sdk.fallback.client import FallbackClient
from compute_horde_sdk.fallback.errors import (
    FallbackError,
    FallbackJobTimeoutError,
    FallbackNotFoundError,
)
from compute_horde_sdk.fallback.jobs import FallbackJob, FallbackJobResult, FallbackJobStatus
from compute_horde_sdk.fallback.spec import FallbackJobSpec

__all__ = [
    "FallbackClient",
    "FallbackError",
    "FallbackJob",
    "FallbackJobResult",
    "FallbackJobSpec",
    "FallbackJobStatus",
    "FallbackJobTimeoutError",
    "FallbackNotFoundError",
]
