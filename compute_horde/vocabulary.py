"""Enumerations; each value is what is sent over the wire and stored in databases."""

from enum import StrEnum
from typing import Self


class TolerantEnum(StrEnum):
    """An enumeration that reads unknown values as `unknown`, since peers upgrade separately."""

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        return cls.__members__.get("UNKNOWN") if isinstance(value, str) else None


class JobState(TolerantEnum):
    """Where a job stands. The one status list of every service, database and log."""

    UNKNOWN = "unknown"
    SENT = "sent"
    RECEIVED = "received"
    ACCEPTED = "accepted"
    EXECUTOR_READY = "executor_ready"
    STREAMING_READY = "streaming_ready"
    VOLUMES_READY = "volumes_ready"
    EXECUTION_DONE = "execution_done"
    COMPLETED = "completed"
    REJECTED = "rejected"
    FAILED = "failed"
    HORDE_FAILED = "horde_failed"
    CANCELLED = "cancelled"


class Stage(TolerantEnum):
    """What an executor is busy with."""

    UNKNOWN = "unknown"
    EXECUTOR_STARTUP = "executor_startup"
    VOLUME_DOWNLOAD = "volume_download"
    STREAMING_STARTUP = "streaming_startup"
    EXECUTION = "execution"
    RESULT_UPLOAD = "result_upload"


class Party(TolerantEnum):
    """A party of the protocol."""

    UNKNOWN = "unknown"
    SDK = "sdk"
    FACILITATOR = "facilitator"
    VALIDATOR = "validator"
    MINER = "miner"
    EXECUTOR = "executor"


class FailureReason(TolerantEnum):
    """Why a job failed by its own fault."""

    UNKNOWN = "unknown"
    TIMEOUT = "timeout"
    NONZERO_RETURN_CODE = "nonzero_return_code"
    DOWNLOAD_FAILED = "download_failed"
    UPLOAD_FAILED = "upload_failed"
    CANCELLED = "cancelled"


class HordeReason(TolerantEnum):
    """Why a job failed by the network's fault."""

    UNKNOWN = "unknown"
    GENERIC_ERROR = "generic_error"
    UNHANDLED_EXCEPTION = "unhandled_exception"
    UNHANDLED_TIMEOUT = "unhandled_timeout"
    STREAMING_FAILED = "streaming_failed"
    MINER_CONNECTION_FAILED = "miner_connection_failed"
    INITIAL_RESPONSE_TIMED_OUT = "initial_response_timed_out"
    EXECUTOR_READINESS_RESPONSE_TIMED_OUT = "executor_readiness_response_timed_out"
    VOLUMES_TIMED_OUT = "volumes_timed_out"
    STREAMING_JOB_READY_TIMED_OUT = "streaming_job_ready_timed_out"
    EXECUTION_TIMED_OUT = "execution_timed_out"
    FINAL_RESPONSE_TIMED_OUT = "final_response_timed_out"
    EXECUTOR_SPINUP_FAILED = "executor_spinup_failed"
    EXECUTOR_DISCONNECTED = "executor_disconnected"
    SECURITY_CHECK_FAILED = "security_check_failed"


class RejectionReason(TolerantEnum):
    """Why a job was declined before anything ran."""

    UNKNOWN = "unknown"
    BUSY = "busy"
    INVALID_SIGNATURE = "invalid_signature"
    INVALID_RECEIPT = "invalid_receipt"
    NO_MINER_FOR_JOB = "no_miner_for_job"
    VALIDATOR_BLACKLISTED = "validator_blacklisted"


class ReceiptType(StrEnum):
    """The kinds of receipts."""

    STARTED = "JobStartedReceipt"
    ACCEPTED = "JobAcceptedReceipt"
    FINISHED = "JobFinishedReceipt"
    INTERVAL = "JobIntervalReceipt"


class SignatureScope(StrEnum):
    """What an SDK signature covers."""

    SIGNED_FIELDS = "SignedFields"
    FULL_REQUEST = "FullRequest"


class GpuPreset(StrEnum):
    """Which GPUs a job container sees."""

    NVIDIA_ALL = "nvidia_all"
    NONE = "none"


class Stream(StrEnum):
    """Where a job printed something."""

    STDOUT = "stdout"
    STDERR = "stderr"


class Extension(StrEnum):
    """What peers may agree on beyond the published protocol."""

    CANCEL = "cancel"
    OUTPUT = "output"
    INTERVALS = "intervals"
    BINDING = "binding"
