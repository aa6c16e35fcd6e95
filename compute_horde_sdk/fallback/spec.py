"""The specification of a job on a cloud machine, and of that machine."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from compute_horde.hardware import ExecutorClass
from compute_horde_sdk.job_spec import ComputeHordeJobSpec
from compute_horde_sdk.volumes import (
    HTTPInputVolume,
    HTTPOutputVolume,
    HuggingfaceInputVolume,
    InlineInputVolume,
)

ACCELERATORS = {
    ExecutorClass.always_on__llm__a6000: {"RTXA6000": 1},
    ExecutorClass.always_on__gpu_24gb: {"A10": 1},
    ExecutorClass.spin_up_4min__gpu_24gb: {"A10": 1},
}


@dataclass
class FallbackJobSpec:
    """One job for a cloud machine.

    `run` is a shell command; the entrypoint of an image is not used. The machine's fields, from
    `cpus` to `zone`, are those of `sky.Resources`.
    """

    run: str | None = None
    envs: Mapping[str, str] | None = None
    work_dir: str = "/"
    artifacts_dir: str | None = None
    input_volumes: (
        Mapping[str, InlineInputVolume | HuggingfaceInputVolume | HTTPInputVolume] | None
    ) = None
    output_volumes: Mapping[str, HTTPOutputVolume] | None = None
    cpus: int | float | str | None = None
    memory: int | float | str | None = None
    accelerators: str | Mapping[str, int] | None = None
    disk_size: int | None = None
    ports: int | str | Sequence[str] | None = None
    instance_type: str | None = None
    image_id: str | None = None
    region: str | None = None
    zone: str | None = None
    streaming: bool = False

    @classmethod
    def from_job_spec(cls, job_spec: ComputeHordeJobSpec, **more: Any) -> Self:
        """Convert a job of the network; `more` are fields that `ComputeHordeJobSpec` lacks."""
        fields: dict[str, Any] = {
            "run": shlex.join(job_spec.args),
            "envs": job_spec.env,
            "artifacts_dir": job_spec.artifacts_dir and str(job_spec.artifacts_dir),
            "input_volumes": _by_text(job_spec.input_volumes),
            "output_volumes": _by_text(job_spec.output_volumes),
            "accelerators": ACCELERATORS.get(ExecutorClass(job_spec.executor_class)),
            "image_id": f"docker:{job_spec.docker_image}",
            "streaming": job_spec.streaming,
        }
        return cls(**fields | more)


def _by_text(volumes: Mapping[Any, Any] | None) -> dict[str, Any] | None:
    return {str(path): volume for path, volume in volumes.items()} if volumes else None
