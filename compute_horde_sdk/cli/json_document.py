"""The JSON objects of --json: the same keys for every command, for jobs and for errors."""

import base64
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from compute_horde.errors import ConfigurationError
from compute_horde.faults import Culprit
from compute_horde_sdk.cli import exit_codes, stdio
from compute_horde_sdk.cli.exit_codes import Exit
from compute_horde_sdk.errors import (
    ComputeHordeNotFoundError,
    FacilitatorUnreachable,
    InvalidRequestError,
    RequestRefused,
)
from compute_horde_sdk.job_result import ComputeHordeJobResult
from compute_horde_sdk.jobs import ComputeHordeJob
from compute_horde_sdk.local_files import SkippedInput

CHANGE_IT = "change what the message names"
TRY_AGAIN = "try again later"
TOO_MANY_REQUESTS = 429
SERVER_ERROR = 500


@dataclass(frozen=True, slots=True)
class CommandError:
    """Why a command ends without what it was asked for, beyond how the job ended.

    `fault` is the party at fault and `next_step` what to do now, if known; `uuid` and `status`
    those of the job that it is about.
    """

    code: int
    message: str
    reason: str
    fault: str | None = None
    next_step: str | None = None
    uuid: str | None = None
    status: str | None = None

    def fields(self) -> dict[str, Any]:
        """The `error` of the JSON object."""
        return {
            "kind": Exit(self.code).name.lower(),
            "reason": self.reason,
            "message": self.message,
            "fault": self.fault,
            "next_step": self.next_step,
        }


def not_run(exc: Exception) -> CommandError:
    """The error for an exception that ended a command."""
    fault: Culprit | None = None
    next_step = CHANGE_IT
    match exc:
        case RequestRefused(status_code=status) if (
            status >= SERVER_ERROR or status == TOO_MANY_REQUESTS
        ):
            next_step = TRY_AGAIN
        case InvalidRequestError() | ConfigurationError() | ComputeHordeNotFoundError():
            fault = Culprit.USER
        case RequestRefused():
            fault = Culprit.USER
        case FacilitatorUnreachable():
            next_step = f"{TRY_AGAIN}, and check the facilitator's URL and your network"
    uuid = getattr(exc, "job_uuid", None)
    step, reason = next_step, type(exc).__name__
    return CommandError(Exit.NOT_RUN, str(exc), reason, fault and str(fault), step, uuid)


def of_job(
    job: ComputeHordeJob,
    *,
    exit_code: int | None = None,
    skipped: Iterable[SkippedInput] = (),
    problem: CommandError | None = None,
) -> dict[str, Any]:
    """A job with its result; without `exit_code` the one that `job --wait` would end with.

    `problem` is why a requested output was not saved; the error of the job itself comes first.
    """
    if exit_code is None and not job.status.is_in_progress():
        exit_code = exit_codes.code(job)
    return {
        "uuid": job.uuid,
        "status": job.status.value,
        "docker_image": job.docker_image,
        "executor_class": job.executor_class,
        "exit_code": exit_code,
        "error": _job_error(job) or (problem and problem.fields()),
        **_result(job.result),
        "inputs_left_out": [asdict(one) for one in skipped],
        "statuses": [
            {"status": entry.status.value, "created_at": entry.created_at.isoformat()}
            for entry in job.status_history
        ],
    }


def of_error(error: CommandError) -> dict[str, Any]:
    """The object for a command that has no job to show."""
    return {
        "uuid": error.uuid,
        "status": error.status,
        "docker_image": None,
        "executor_class": None,
        "exit_code": int(error.code),
        "error": error.fields(),
        **_result(None),
        "inputs_left_out": [],
        "statuses": [],
    }


def write(document: Any, what: str = "the job") -> None:
    """Print a document on stdout; raises `UnwritableError` when that is not possible."""
    with stdio.writing(what):
        print(json.dumps(document), flush=True)


def _result(found: ComputeHordeJobResult | None) -> dict[str, Any]:
    result = found or ComputeHordeJobResult("", "", {})
    return {
        "stdout": found and found.stdout,
        "stderr": found and found.stderr,
        "artifacts": {path: _base64(data) for path, data in result.artifacts.items()},
        "upload_results": {path: one.model_dump() for path, one in result.upload_results.items()},
        "left_out": [one.model_dump() for one in result.left_out],
        "truncated": dict(result.truncated),
        "not_text": result.not_text,
        "raw_output": {stream: _base64(data) for stream, data in result.raw_output.items()},
    }


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _job_error(job: ComputeHordeJob) -> dict[str, Any] | None:
    error, fault = job.error, job.fault
    if error is None:
        return None
    return {
        "kind": job.status.value,
        **vars(error),
        "fault": fault and str(fault.blamed),
        "next_step": fault and fault.advice,
    }
