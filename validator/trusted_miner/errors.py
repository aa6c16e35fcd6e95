"""Why a job could not be run on the trusted miner.

TrustedMinerError
├── TrustedMinerNotConfiguredError   the validator has no trusted miner
├── TrustedMinerUnreachableError     it does not answer, or the connection was lost
├── TrustedMinerDeclinedError        it takes no such job, or is busy
├── TrustedJobTimedOutError          a time limit of the job passed
└── TrustedJobFailedError            the job failed for another reason
"""

from compute_horde.errors import ComputeHordeError
from compute_horde.vocabulary import RejectionReason


class TrustedMinerError(ComputeHordeError):
    """Base class of these errors; the message says what to do next."""


class TrustedMinerNotConfiguredError(TrustedMinerError):
    """The validator has no trusted miner."""

    def __init__(self) -> None:
        super().__init__(
            "this validator has no trusted miner: set VALIDATOR_TRUSTED_MINER_ADDRESS and "
            "VALIDATOR_TRUSTED_MINER_PORT"
        )


class TrustedMinerUnreachableError(TrustedMinerError):
    """The trusted miner does not answer, refused the login, or was lost during the job."""


class TrustedMinerDeclinedError(TrustedMinerError):
    """The trusted miner declined the job for `reason`, such as `busy`."""

    def __init__(self, reason: RejectionReason, message: str) -> None:
        super().__init__(
            f"the trusted miner declined the job ({reason}): {message or 'it gave no message'}"
        )
        self.reason = reason


class TrustedJobFailedError(TrustedMinerError):
    """The job failed; `exit_status`, `stdout` and `stderr` are set as far as they are known."""

    def __init__(
        self, message: str, *, exit_status: int | None = None, stdout: str = "", stderr: str = ""
    ) -> None:
        super().__init__(message)
        self.exit_status = exit_status
        self.stdout = stdout
        self.stderr = stderr


class TrustedJobTimedOutError(TrustedMinerError):
    """A time limit of the job passed before it had ended."""
