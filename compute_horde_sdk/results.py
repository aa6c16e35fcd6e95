"""What a finished job left behind."""

import base64
import binascii
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from compute_horde_sdk.statuses import ComputeHordeJobStatusEntry

log = logging.getLogger(__name__)

OUTPUT_MOUNT = "/output/"


class HttpOutputVolumeResponse(BaseModel):
    """What the server that took an upload answered."""

    model_config = ConfigDict(defer_build=True)

    headers: dict[str, str]
    body: str


@dataclass
class ComputeHordeJobResult:
    """Output, artifacts by their full path, and answers to uploads by their mount path."""

    stdout: str
    stderr: str
    artifacts: dict[str, bytes]
    upload_results: dict[str, HttpOutputVolumeResponse] = field(default_factory=dict)

    def add_upload_result(self, path: str, result: HttpOutputVolumeResponse) -> None:
        """Note the answer to the upload of `path`, which is relative to /output/."""
        self.upload_results[OUTPUT_MOUNT + path] = result


def result_from(
    stdout: str | None,
    stderr: str | None,
    artifacts: Mapping[str, str] | None,
    uploads: Mapping[str, Any] | None,
) -> ComputeHordeJobResult:
    """A result from its parts on the wire; what cannot be read is logged and left out."""
    result = ComputeHordeJobResult(stdout or "", stderr or "", {})
    for path, encoded in (artifacts or {}).items():
        try:
            result.artifacts[path] = base64.b64decode(encoded)
        except (binascii.Error, ValueError):
            log.warning("artifact is not base64", extra={"artifact": path})
    for path, told in (uploads or {}).items():
        try:
            answer = HttpOutputVolumeResponse.model_validate(json.loads(told))
        except (TypeError, ValueError, RecursionError, ValidationError):
            log.warning("upload result is malformed", extra={"upload": path})
            continue
        result.add_upload_result(path, answer)
    return result


def pushed_result(ending: ComputeHordeJobStatusEntry) -> ComputeHordeJobResult | None:
    """The result that came with the job's ending, or None when it has to be fetched."""
    metadata = ending.metadata
    if metadata is None:
        return None
    if metadata.miner_response is not None:
        told = metadata.miner_response
        return result_from(
            told.docker_process_stdout,
            told.docker_process_stderr,
            told.artifacts,
            told.upload_results,
        )
    if metadata.error is not None:
        return with_failure_output(result_from("", "", {}, {}), ending)
    return None


def with_failure_output(
    result: ComputeHordeJobResult, ending: ComputeHordeJobStatusEntry
) -> ComputeHordeJobResult:
    """A failed job's output stands in its failure's details; show it as any other output."""
    details = ending.metadata.job_failure_details if ending.metadata else None
    if details is not None:
        result.stdout = result.stdout or details.docker_process_stdout or ""
        result.stderr = result.stderr or details.docker_process_stderr or ""
    return result
