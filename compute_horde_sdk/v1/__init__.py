"""The public API of the SDK; names outside this package may change."""

from compute_horde.hardware import ExecutorClass
from compute_horde_sdk.client import ComputeHordeClient
from compute_horde_sdk.errors import (
    ComputeHordeError,
    ComputeHordeJobTimeoutError,
    ComputeHordeNotFoundError,
    FacilitatorUnreachable,
    InvalidRequestError,
    RequestRefused,
)
from compute_horde_sdk.job_result import ComputeHordeJobResult, HttpOutputVolumeResponse
from compute_horde_sdk.job_spec import ComputeHordeJobSpec
from compute_horde_sdk.job_status import (
    ComputeHordeHordeFailure,
    ComputeHordeJobFailure,
    ComputeHordeJobRejection,
    ComputeHordeJobStatus,
    ComputeHordeJobStatusEntry,
)
from compute_horde_sdk.job_unsuccessful import JobUnsuccessful
from compute_horde_sdk.jobs import ComputeHordeJob
from compute_horde_sdk.run import RunResult, run
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
    "InvalidRequestError",
    "JobUnsuccessful",
    "OutputVolume",
    "RequestRefused",
    "RunResult",
    "fallback",
    "run",
]
