"""The result of a finished job: output, artifacts and upload results."""

import base64
import binascii
import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from compute_horde.protocol import left_out_notes
from compute_horde.protocol.left_out import LeftOut
from compute_horde.protocol.truncation import RawOutput, TotalBytes
from compute_horde_sdk.job_status import ComputeHordeJobStatusEntry

log = logging.getLogger(__name__)

OUTPUT_MOUNT = "/output/"
_RAW_OUTPUT = TypeAdapter(RawOutput)
_TRUNCATED = TypeAdapter(dict[str, TotalBytes])


class HttpOutputVolumeResponse(BaseModel):
    """Response of the server that received an upload."""

    model_config = ConfigDict(defer_build=True)

    headers: dict[str, str]
    body: str


@dataclass
class ComputeHordeJobResult:
    """Output, artifacts by their full path, and upload responses by their mount path.

    `left_out` lists the artifacts that were not returned, with size and reason.
    `raw_output` has the bytes of each stream that is not UTF-8; its text has replacement
    characters. `truncated` maps each incomplete stream to the number of bytes that the job printed
    to it: either its middle is missing, or it is also in `not_text`, being neither UTF-8 nor short
    enough for `raw_output`. Peers that implement only the published protocol send none of these.
    """

    stdout: str
    stderr: str
    artifacts: dict[str, bytes]
    upload_results: dict[str, HttpOutputVolumeResponse] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)
    truncated: dict[str, int] = field(default_factory=dict)
    raw_output: dict[str, bytes] = field(default_factory=dict, repr=False)
    # Streams of which the log shows that they are not UTF-8.
    no_text_in_log: set[str] = field(default_factory=set, repr=False)

    @property
    def not_text(self) -> list[str]:
        """The streams that are not UTF-8 and whose bytes are not in `raw_output`."""
        texts = {"stdout": self.stdout, "stderr": self.stderr}
        return [
            stream
            for stream, text in texts.items()
            if stream in self.truncated
            and stream not in self.raw_output
            and ("\N{REPLACEMENT CHARACTER}" in text or stream in self.no_text_in_log)
        ]

    @property
    def stdout_bytes(self) -> bytes:
        """Standard output as the job wrote it, also if it is not UTF-8 (up to 750,000 bytes)."""
        return self.raw_output.get("stdout", self.stdout.encode("utf-8", "surrogatepass"))

    @property
    def stderr_bytes(self) -> bytes:
        """Standard error as the job wrote it, also if it is not UTF-8 (up to 750,000 bytes)."""
        return self.raw_output.get("stderr", self.stderr.encode("utf-8", "surrogatepass"))

    def add_upload_result(self, path: str, result: HttpOutputVolumeResponse) -> None:
        """Add the response to the upload of `path`, which is relative to /output/."""
        self.upload_results[OUTPUT_MOUNT + path] = result


def result_from(
    stdout: str | None,
    stderr: str | None,
    artifacts: Mapping[str, str] | None,
    uploads: Mapping[str, Any] | None,
    left_out: Any = None,
    truncated: Any = None,
    raw_output: Any = None,
) -> ComputeHordeJobResult:
    """A result from its parts on the wire; malformed parts are logged and left out."""
    result = ComputeHordeJobResult(stdout or "", stderr or "", {})
    result.left_out = _left_out(left_out)
    result.stderr = left_out_notes.without_notes(result.stderr, result.left_out)
    result.truncated = _truncated(truncated)
    for stream in result.truncated.keys() & {"stdout", "stderr"}:
        setattr(
            result, stream, getattr(result, stream).removesuffix(left_out_notes.OUTPUT_TRUNCATED)
        )
    result.raw_output = _raw_output(raw_output)
    for path, encoded in (artifacts or {}).items():
        try:
            result.artifacts[path] = base64.b64decode(encoded)
        except (binascii.Error, ValueError):
            log.warning("artifact is not base64", extra={"artifact": path})
    for path, value in (uploads or {}).items():
        try:
            answer = HttpOutputVolumeResponse.model_validate(json.loads(value))
        except (TypeError, ValueError, RecursionError, ValidationError):
            log.warning("upload result is malformed", extra={"upload": path})
            continue
        result.add_upload_result(path, answer)
    return result


def _left_out(value: Any) -> list[LeftOut]:
    found = []
    for one in value if isinstance(value, list | tuple) else ():
        try:
            found.append(LeftOut.model_validate(one))
        except ValidationError:
            log.warning("description of a missing artifact is malformed")
    return found


def _truncated(value: Any) -> dict[str, int]:
    try:
        return _TRUNCATED.validate_python(value or {})
    except ValidationError:
        log.warning("description of truncated output is malformed")
        return {}


def _raw_output(value: Any) -> dict[str, bytes]:
    try:
        encoded = _RAW_OUTPUT.validate_python(value or {})
        return {stream: base64.b64decode(data, validate=True) for stream, data in encoded.items()}
    except ValueError:
        log.warning("raw output is malformed")
        return {}


def missing(left_out: Iterable[LeftOut], source: str) -> list[LeftOut]:
    """The entries of `left_out` at or below the path `source`."""
    wanted = source.rstrip("/") + "/"
    return [
        one
        for one in left_out
        if not one.name
        or f"{one.name.rstrip('/')}/".startswith(wanted)
        or (one.name.endswith("/") and wanted.startswith(one.name))
    ]


def pushed_result(ending: ComputeHordeJobStatusEntry) -> ComputeHordeJobResult | None:
    """The result that came with the job's final status, or None when it has to be fetched."""
    metadata = ending.metadata
    if metadata is None:
        return None
    if metadata.miner_response is not None:
        value = metadata.miner_response
        return result_from(
            value.docker_process_stdout,
            value.docker_process_stderr,
            value.artifacts,
            value.upload_results,
            value.left_out,
            value.truncated,
            value.raw_output,
        )
    if metadata.error is not None:
        return with_failure_output(result_from("", "", {}, {}), ending)
    return None


def with_failure_output(
    result: ComputeHordeJobResult, ending: ComputeHordeJobStatusEntry
) -> ComputeHordeJobResult:
    """Fill a failed job's output, which is part of the failure details, into `result`."""
    details = ending.metadata.job_failure_details if ending.metadata else None
    if details is not None:
        result.truncated = result.truncated or _truncated(details.truncated)
        result.raw_output = result.raw_output or _raw_output(details.raw_output)
        result.stdout = result.stdout or details.docker_process_stdout or ""
        result.stderr = result.stderr or details.docker_process_stderr or ""
    return result
