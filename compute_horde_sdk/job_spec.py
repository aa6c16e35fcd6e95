"""The specification of a job: image, arguments, inputs, outputs and time limits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath

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
    """Specification of one job.

    Volumes are given as {mount path: volume}: inputs below /volume/, outputs below /output/. Files
    up to 1 MB that the job leaves in `artifacts_dir` are returned with the result.

    Time limits are in seconds. Time that a stage leaves is added to the next, so an upload may take
    longer than its own limit; the run may not. The download limit includes the image, as far as
    that is not there when the machine is ready.
    """

    executor_class: ExecutorClass
    job_namespace: str
    docker_image: str
    download_time_limit_sec: int = DOWNLOAD_SECONDS
    execution_time_limit_sec: int = EXECUTION_SECONDS
    upload_time_limit_sec: int = UPLOAD_SECONDS
    args: Sequence[str] = field(default_factory=list)
    env: Mapping[str, str] = field(default_factory=dict)
    artifacts_dir: str | PurePath | None = None
    input_volumes: (
        Mapping[str, InlineInputVolume | HuggingfaceInputVolume | HTTPInputVolume]
        | Mapping[PurePath, InlineInputVolume | HuggingfaceInputVolume | HTTPInputVolume]
        | None
    ) = None
    output_volumes: Mapping[str, HTTPOutputVolume] | Mapping[PurePath, HTTPOutputVolume] | None = (
        None
    )
    streaming: bool = False
    streaming_start_time_limit_sec: int = STREAMING_START_SECONDS
