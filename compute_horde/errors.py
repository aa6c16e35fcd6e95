"""The exception tree; who is at fault for a failed job is decided by `compute_horde.faults`.

ComputeHordeError
├── ConfigurationError      a setting cannot be used; the process refuses to start
├── ProtocolError           the peer's mistake; close the connection
│   └── BadSignature
├── RejectionError          the job is declined before it runs
├── Cancelled               the owner cancelled the job
├── JobError                the job's own fault: its image, data or command
├── HordeError              not the job's own fault: a lost peer, a deadline, a bug
└── OutsideError            a service outside failed; a retry may help
    ├── ChainError
    ├── StorageError
    └── ContainerError
"""

from typing import Any

from compute_horde.vocabulary import FailureReason, HordeReason, RejectionReason


class ComputeHordeError(Exception):
    """Base class of all errors of ComputeHorde; catch it only at the edge of a process.

    The SDK sets `job_uuid` and, where it holds one, `job` on errors about one of the user's jobs.
    """

    job_uuid: str | None = None
    job: Any = None


class ConfigurationError(ComputeHordeError):
    """The operator's mistake; the message names the setting and the remedy."""


class ProtocolError(ComputeHordeError):
    """The peer sent something that the protocol does not allow."""


class BadSignature(ProtocolError):
    """The signature is not by this signer over these bytes."""


class RejectionError(ComputeHordeError):
    """The job is declined before it runs; `context` adds details to the reason.

    Who is at fault is decided by `compute_horde.faults.of_rejection`.
    """

    def __init__(
        self,
        reason: RejectionReason,
        detail: str = "",
        *,
        context: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(detail or str(reason))
        self.reason = reason
        self.context = context


class Cancelled(ComputeHordeError):
    """The job was cancelled on request. Contains its output so far."""

    def __init__(
        self,
        detail: str = "The job was cancelled",
        *,
        stdout: str | None = None,
        stderr: str | None = None,
    ) -> None:
        super().__init__(detail)
        self.stdout = stdout
        self.stderr = stderr


class JobError(ComputeHordeError):
    """The user's image, data or command is to blame."""

    def __init__(
        self,
        reason: FailureReason,
        detail: str,
        *,
        exit_status: int | None = None,
        stdout: str | None = None,
        stderr: str | None = None,
        context: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.reason = reason
        self.exit_status = exit_status
        self.stdout = stdout
        self.stderr = stderr
        self.context = context


class HordeError(ComputeHordeError):
    """The job failed, but not by its own fault: a lost peer, a deadline, a bug.

    Who is at fault is decided by `compute_horde.faults.of_horde`.
    """

    def __init__(
        self, reason: HordeReason, detail: str, *, context: dict[str, Any] | None = None
    ) -> None:
        super().__init__(detail)
        self.reason = reason
        self.context = context


class OutsideError(ComputeHordeError):
    """An external service failed or did not answer; a retry may help."""


class ChainError(OutsideError):
    """The chain node refused, failed or did not answer in time."""


class StorageError(OutsideError):
    """The object store refused, failed or did not answer in time."""


class ContainerError(OutsideError):
    """The container engine refused, failed or did not answer in time."""
