"""The public names of the SDK; what is not here may change."""

from compute_horde.hardware import ExecutorClass
from compute_horde_sdk.client import ComputeHordeClient
from compute_horde_sdk.errors import (
    ComputeHordeError,
    ComputeHordeJobTimeoutError,
    ComputeHordeNotFoundError,
    FacilitatorUnreachable,
    JobUnsuccessful,
    RequestRefused,
)
from compute_horde_sdk.jobs import ComputeHordeJob
from compute_horde_sdk.results import ComputeHordeJobResult, HttpOutputVolumeResponse
from compute_horde_sdk.run import RunResult, run
from compute_horde_sdk.spec import ComputeHordeJobSpec
from compute_horde_sdk.statuses import (
    ComputeHordeHordeFailure,
    ComputeHordeJobFailure,
    ComputeHordeJobRejection,
    ComputeHordeJobStatus,
    ComputeHordeJobStatusEntry,
)
from compute_horde_sdk.v1 import fallback
from compute_horde_sdk.volumes import (
    HTTPInputVolume,
    HTTPOutputVolume,
    HuggingfaceInputVolume,
    InlineInputVolume,
    InputVolume,
    OutputVolume,
)

__all__ = [
    "ComputeHordeClient",
    "ComputeHordeError",
    "ComputeHordeHordeFailure",
    "ComputeHordeJob",
    "ComputeHordeJobFailure",
    "ComputeHordeJobRejection",
    "ComputeHordeJobResult",
    "ComputeHordeJobSpec",
    "ComputeHordeJobStatus",
    "ComputeHordeJobStatusEntry",
    "ComputeHordeJobTimeoutError",
    "ComputeHordeNotFoundError",
    "ExecutorClass",
    "FacilitatorUnreachable",
    "HTTPInputVolume",
    "HTTPOutputVolume",
    "HttpOutputVolumeResponse",
    "HuggingfaceInputVolume",
    "InlineInputVolume",
    "InputVolume",
    "JobUnsuccessful",
    "OutputVolume",
    "RequestRefused",
    "RunResult",
    "fallback",
    "run",
]
