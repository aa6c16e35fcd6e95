"""What a user asks to have run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from compute_horde.hardware import ExecutorClass
from compute_horde_sdk.volumes import (
    HTTPInputVolume,
    HTTPOutputVolume,
    HuggingfaceInputVolume,
    InlineInputVolume,
)

DOWNLOAD_SECONDS = 60
EXECUTION_SECONDS = 300
UPLOAD_SECONDS = 60
STREAMING_START_SECONDS = 5


@dataclass
class ComputeHordeJobSpec:
    """One job: image, arguments, inputs, outputs and limits.

    Input volumes mount below /volume/, output volumes below /output/. Small files that the job
    leaves in `artifacts_dir` come back with the result.
    """

    executor_class: ExecutorClass
    job_namespace: str
    docker_image: str
    download_time_limit_sec: int = DOWNLOAD_SECONDS
    execution_time_limit_sec: int = EXECUTION_SECONDS
    upload_time_limit_sec: int = UPLOAD_SECONDS
    args: Sequence[str] = field(default_factory=list)
    env: Mapping[str, str] = field(default_factory=dict)
    artifacts_dir: str | None = None
    input_volumes: (
        Mapping[str, InlineInputVolume | HuggingfaceInputVolume | HTTPInputVolume] | None
    ) = None
    output_volumes: Mapping[str, HTTPOutputVolume] | None = None
    streaming: bool = False
    streaming_start_time_limit_sec: int = STREAMING_START_SECONDS
