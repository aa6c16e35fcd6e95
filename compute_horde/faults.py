"""Who is at fault when a job does not complete: one table, and lookups in it.

Most of the input comes from miners, who may lie. A `claimable` fault is accepted without proof, so
it never earns more than the intervals of work that were already paid for.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from compute_horde.vocabulary import FailureReason as F
from compute_horde.vocabulary import HordeReason as H
from compute_horde.vocabulary import Party, Stage
from compute_horde.vocabulary import RejectionReason as R

CAUSE = "cause"


class Culprit(StrEnum):
    """The party at fault; an executor is part of its miner."""

    USER = "user"
    MINER = "miner"
    VALIDATOR = "validator"
    FACILITATOR = "facilitator"
    NOBODY = "nobody"


class Cause(StrEnum):
    """A cause that the closed list of `HordeReason` lacks; sent in a message's context."""

    REGISTRY = "registry"
    NO_PAYLOAD = "no_payload"
    NO_MINER_REACHED = "no_miner_reached"
    BROKEN_ORDER = "broken_order"
    TRUSTED_MINER_DOWN = "trusted_miner_down"
    SIGNER_NOT_ALLOWED = "signer_not_allowed"
    QUOTA = "quota"

    @property
    def context(self) -> dict[str, Any]:
        """The context of an error with this cause."""
        return {CAUSE: str(self)}


class JobCause(StrEnum):
    """A cause of a job's own failure that tells more than its `FailureReason`; in the context."""

    NOT_STARTED = "not_started"
    BAD_INPUT = "bad_input"
    BAD_OUTPUT = "bad_output"

    @property
    def context(self) -> dict[str, Any]:
        """The context of an error with this cause."""
        return {CAUSE: str(self)}


@dataclass(frozen=True, slots=True)
class Fault:
    """Who is at fault, what the user reads (`example`) and should do (`advice`).

    `excusable` means that receipts of other validators may prove the miner innocent.
    """

    blamed: Culprit
    worth_another_try: bool
    advice: str
    example: str = ""
    claimable: bool = False
    excusable: bool = False

    @property
    def counts_against_miner(self) -> bool:
        """Whether the miner's reliability suffers."""
        return self.blamed is Culprit.MINER


def _users(advice: str, example: str, *, again: bool = False) -> Fault:
    return Fault(Culprit.USER, again, advice, example, claimable=True)


def _miners(example: str, advice: str = "try again; another miner may take the job") -> Fault:
    return Fault(Culprit.MINER, worth_another_try=True, advice=advice, example=example)


LONGER = "make the job shorter or its time limit longer"
FAILURES: dict[tuple[F, Stage], Fault] = {
    (F.DOWNLOAD_FAILED, Stage.EXECUTOR_STARTUP): _users(
        "check the image's name and size, and that anybody may pull it from a registry that miners "
        "allow",
        "Image 'no/such-image:1' cannot be fetched: its registry does not have it (HTTP 404)",
    ),
    (F.DOWNLOAD_FAILED, Stage.VOLUME_DOWNLOAD): _users(
        "check that anybody can fetch what the message names: the URL of a volume, or the image",
        "Download failed: volume 1 (single_file) example.com: the server answered HTTP 404",
    ),
    (F.TIMEOUT, Stage.VOLUME_DOWNLOAD): _users(
        "make the inputs or the image smaller, or the download time limit longer",
        "Download time exceeded",
        again=True,
    ),
    (F.TIMEOUT, Stage.STREAMING_STARTUP): _users(
        "serve sooner, or make the streaming start time limit longer",
        "Streaming start time exceeded",
    ),
    (F.TIMEOUT, Stage.EXECUTION): _users(LONGER, "Job container timed out during execution"),
    (F.TIMEOUT, Stage.RESULT_UPLOAD): _users(
        "make the outputs smaller or the upload time limit longer",
        "Upload time exceeded",
        again=True,
    ),
    (F.NONZERO_RETURN_CODE, Stage.EXECUTION): _users(
        "read what the job printed; its command ended with an error",
        "Job container exited with non-zero exit code: 1",
    ),
    (F.UPLOAD_FAILED, Stage.RESULT_UPLOAD): _users(
        "check the URLs of the uploads and how long they are valid",
        "Upload failed: example.com: the server answered HTTP 403",
    ),
    (F.UNKNOWN, Stage.EXECUTION): _users(
        "let the job use less of what the message names",
        "Job container used more than 67108864 bytes of disk",
    ),
    (F.CANCELLED, Stage.EXECUTION): _users("nothing to do: it was wanted", "Cancelled"),
}
BY_REASON: dict[F, Fault] = {
    F.TIMEOUT: _users(LONGER, "it took too long"),
    F.NONZERO_RETURN_CODE: FAILURES[F.NONZERO_RETURN_CODE, Stage.EXECUTION],
    F.DOWNLOAD_FAILED: FAILURES[F.DOWNLOAD_FAILED, Stage.VOLUME_DOWNLOAD],
    F.UPLOAD_FAILED: FAILURES[F.UPLOAD_FAILED, Stage.RESULT_UPLOAD],
    F.CANCELLED: FAILURES[F.CANCELLED, Stage.EXECUTION],
    F.UNKNOWN: _users("change what the message names", "Malformed message on validator -> miner"),
}

JOB_CAUSES: dict[JobCause, Fault] = {
    JobCause.NOT_STARTED: _users(
        "change what the message names: a command that the image does not have, or another part "
        "of the job or its image with which no container can be started",
        'Job container could not be started: exec: "python": executable file not found in $PATH',
    ),
    JobCause.BAD_INPUT: _users(
        "change the volume that the message names: its path, or what is in its archive",
        "Download failed: volume 2 (inline) needs a path that is both a file and a folder",
    ),
    JobCause.BAD_OUTPUT: _users(
        "have the job leave what the message names as a regular file, within the limits",
        "Upload failed: 'model.bin' cannot be read as a regular file (No such file or directory)",
    ),
}
CAUSES: dict[Cause, Fault] = {
    Cause.REGISTRY: Fault(
        Culprit.NOBODY,
        worth_another_try=True,
        advice="try again later, or pull from another registry; check the registry's name",
        example="Image 'x/y:1' cannot be fetched now: its registry is asked too often (HTTP 429)",
        claimable=True,
    ),
    Cause.NO_PAYLOAD: Fault(
        Culprit.NOBODY,
        worth_another_try=True,
        advice="try again",
        example="the full job did not come in time",
        claimable=True,
    ),
    Cause.NO_MINER_REACHED: Fault(
        Culprit.NOBODY,
        worth_another_try=True,
        advice="try again later, or ask for another executor class",
        example="No miner that offers always_on.gpu-24gb could be reached",
    ),
    Cause.BROKEN_ORDER: _miners("The miner broke the order of messages"),
    Cause.TRUSTED_MINER_DOWN: Fault(
        Culprit.VALIDATOR,
        worth_another_try=True,
        advice="try again later, ask another validator, or run the job without a trusted miner",
        example="The validator's trusted miner cannot be reached",
    ),
    Cause.SIGNER_NOT_ALLOWED: Fault(
        Culprit.USER,
        worth_another_try=False,
        advice="the facilitator knows your hotkey but this validator does not serve it: ask its "
        "operator to allow it, or choose another validator",
        example="Signatory 5F… is not in validator whitelist",
    ),
    Cause.QUOTA: Fault(
        Culprit.USER,
        worth_another_try=True,
        advice="wait until one of your jobs has ended, or for a minute, or ask another validator",
        example="Too many jobs: 500 of signer 5F… are in flight here, which is the most",
    ),
}
# Known only to a validator; ignored in what anybody else reports.
TRUSTED_FROM_VALIDATOR_ONLY = frozenset(
    {
        Cause.NO_MINER_REACHED,
        Cause.BROKEN_ORDER,
        Cause.TRUSTED_MINER_DOWN,
        Cause.SIGNER_NOT_ALLOWED,
        Cause.QUOTA,
    }
)


def _silent_in(state: str) -> Fault:
    return _miners(f"The miner sent no further message before the deadline (state: {state})")


HORDE: dict[H, Fault] = {
    H.GENERIC_ERROR: _miners("the executor's disk is full"),
    H.UNHANDLED_EXCEPTION: _miners("Unhandled exception"),
    H.UNHANDLED_TIMEOUT: _miners("executor_startup took too long"),
    H.STREAMING_FAILED: _miners("this executor does not serve streaming jobs yet"),
    H.MINER_CONNECTION_FAILED: _miners("The miner 5F… was lost and did not come back in 30 s"),
    H.INITIAL_RESPONSE_TIMED_OUT: _silent_in("received"),
    H.EXECUTOR_READINESS_RESPONSE_TIMED_OUT: _silent_in("accepted"),
    H.VOLUMES_TIMED_OUT: _silent_in("executor_ready"),
    H.STREAMING_JOB_READY_TIMED_OUT: _silent_in("volumes_ready"),
    H.EXECUTION_TIMED_OUT: _silent_in("volumes_ready"),
    H.FINAL_RESPONSE_TIMED_OUT: _silent_in("execution_done"),
    H.EXECUTOR_SPINUP_FAILED: _miners("Executor ch-1 did not start"),
    H.EXECUTOR_DISCONNECTED: _miners("Executor ch-1 is lost"),
    H.SECURITY_CHECK_FAILED: _miners("Security check failed: no seccomp"),
    H.UNKNOWN: _miners("a reason that only newer peers know"),
}
# Reported by a validator, these are its own failures; its other reports tell what it saw of the
# miner.
VALIDATOR_REASONS = frozenset(
    {H.GENERIC_ERROR, H.UNHANDLED_EXCEPTION, H.UNHANDLED_TIMEOUT, H.UNKNOWN}
)
VALIDATORS = Fault(
    Culprit.VALIDATOR,
    worth_another_try=True,
    advice="try again, or ask another validator",
    example="Unhandled exception",
)
GIVEN_UP = Fault(
    Culprit.VALIDATOR,
    worth_another_try=True,
    advice="try again, or ask another validator",
    example="validator 5F… has not been connected for 300 s",
)
FACILITATORS = Fault(
    Culprit.FACILITATOR, worth_another_try=True, advice="try again", example="Unhandled exception"
)

REJECTED_BY_MINER: dict[R, Fault] = {
    R.BUSY: Fault(
        Culprit.MINER,
        worth_another_try=True,
        advice="try again later, or ask for another executor class",
        example="all executors of always_on.test are busy",
        excusable=True,
    ),
    R.INVALID_SIGNATURE: Fault(
        Culprit.VALIDATOR,
        worth_another_try=True,
        advice="try again, or ask another validator",
        example="validator_signature is required",
        claimable=True,
    ),
    R.INVALID_RECEIPT: Fault(
        Culprit.VALIDATOR,
        worth_another_try=True,
        advice="try again, or ask another validator",
        example="the receipt is of another job, validator or class",
        claimable=True,
    ),
    R.VALIDATOR_BLACKLISTED: Fault(
        Culprit.NOBODY,
        worth_another_try=True,
        advice="try again, or ask another validator",
        example="validator_blacklisted",
        claimable=True,
    ),
    R.NO_MINER_FOR_JOB: Fault(
        Culprit.NOBODY,
        worth_another_try=True,
        advice="try again later, or ask for another executor class",
        example="All miners are busy",
    ),
    R.UNKNOWN: _miners("this miner has no executors of always_on.gpu-24gb"),
}
REJECTED_BY_VALIDATOR: dict[R, Fault] = {
    R.INVALID_SIGNATURE: Fault(
        Culprit.USER,
        worth_another_try=False,
        advice="check the signing key, the clock, and that the validator serves you",
        example="Signatory 5F… is not in validator whitelist",
    ),
    R.UNKNOWN: Fault(
        Culprit.USER,
        worth_another_try=False,
        advice="change what the message names",
        example="Unsafe volume: '../x' holds `..`",
    ),
}
CANCELLED = Fault(
    Culprit.USER,
    worth_another_try=False,
    advice="nothing to do: it was wanted",
    example="Cancelled by its owner",
)


def of_failure(reason: F, stage: Stage, context: Mapping[str, Any] | None = None) -> Fault:
    """The fault of a job that was reported as failed by its own fault."""
    word = (context or {}).get(CAUSE)
    if isinstance(word, str) and word in _JOB_CAUSES:
        return JOB_CAUSES[JobCause(word)]
    return FAILURES.get((reason, stage), BY_REASON[reason])


def of_horde(reason: H, reported_by: Party, context: Mapping[str, Any] | None) -> Fault:
    """The fault of a failure of the network, as reported by `reported_by`."""
    cause = _cause(context)
    if reported_by is Party.FACILITATOR:
        return FACILITATORS if reason is H.UNHANDLED_EXCEPTION else GIVEN_UP
    ours = reported_by is Party.VALIDATOR
    if cause and (ours or cause not in TRUSTED_FROM_VALIDATOR_ONLY):
        return CAUSES[cause]
    return VALIDATORS if ours and reason in VALIDATOR_REASONS else HORDE[reason]


def of_rejection(reason: R, rejected_by: Party, context: Mapping[str, Any] | None = None) -> Fault:
    """The fault of a job that was declined before it ran."""
    if rejected_by in {Party.MINER, Party.EXECUTOR}:
        return REJECTED_BY_MINER[reason]
    if cause := _cause(context):
        return CAUSES[cause]
    return REJECTED_BY_VALIDATOR.get(reason, REJECTED_BY_MINER[reason])


def _cause(context: Mapping[str, Any] | None) -> Cause | None:
    word = (context or {}).get(CAUSE)
    return Cause(word) if isinstance(word, str) and word in _CAUSES else None


_JOB_CAUSES = frozenset(map(str, JobCause))
_CAUSES = frozenset(map(str, Cause))
