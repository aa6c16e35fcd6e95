"""The error tree; each branch says who is to blame.

ComputeHordeError
├── ConfigurationError      the operator's mistake; the process refuses to start
├── ProtocolError           the peer's mistake; close the line
│   └── BadSignature
├── RejectionError          we decline; not a failure
├── Cancelled               the owner wants no more of it; nobody's fault
├── JobError                the user's image, data or command
├── HordeError              the network: a lost peer, a deadline, a bug
└── OutsideError            an adapter's outside world; worth another try
    ├── ChainError
    ├── StorageError
    └── ContainerError
"""

from typing import Any

from compute_horde.vocabulary import FailureReason, HordeReason, RejectionReason


class ComputeHordeError(Exception):
    """Catch this only at the edge of a process."""


class ConfigurationError(ComputeHordeError):
    """The operator's mistake; the message names the setting and the remedy."""


class ProtocolError(ComputeHordeError):
    """The peer said something the protocol does not allow."""


class BadSignature(ProtocolError):
    """The signature does not belong to this signer and these bytes."""


class RejectionError(ComputeHordeError):
    """We decline the job; nobody failed."""

    def __init__(self, reason: RejectionReason, detail: str = "") -> None:
        super().__init__(detail or str(reason))
        self.reason = reason


class Cancelled(ComputeHordeError):
    """The job was ended because that was asked for; nobody failed. Keeps what it printed."""

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
    """The network is to blame: a lost peer, a deadline, a bug."""

    def __init__(
        self, reason: HordeReason, detail: str, *, context: dict[str, Any] | None = None
    ) -> None:
        super().__init__(detail)
        self.reason = reason
        self.context = context


class OutsideError(ComputeHordeError):
    """Something outside answered badly or not at all; trying again may help."""


class ChainError(OutsideError):
    """The chain node refused, failed or did not answer in time."""


class StorageError(OutsideError):
    """The object store refused, failed or did not answer in time."""


class ContainerError(OutsideError):
    """The container engine refused, failed or did not answer in time."""
