"""Messages beyond the published protocol: optional, sent only to peers that announced support.

A validator announces what it understands in its login at a miner (`ValidatorAuth.extensions`) and
in the header `X-Validator-Extensions` at a facilitator; they announce theirs in their responses
(`Manifest.extensions`, `Response.extensions`). Peers that announced nothing are sent none of this.
"""

from collections.abc import Collection, Iterable
from typing import Annotated, Literal

from pydantic import Field

from compute_horde import signing
from compute_horde.errors import BadSignature
from compute_horde.protocol.job import ValidatorSigned
from compute_horde.protocol.message import JobMessage, Message
from compute_horde.protocol.truncation import RawOutput, Truncated
from compute_horde.receipts import JobIntervalReceipt, JobUuid
from compute_horde.signing import RequestSignature
from compute_horde.vocabulary import Extension, Party, SignatureScope, Stage, Stream

HEADER = "X-Validator-Extensions"
CLIENT_HEADER = "X-CH-Extensions"
# The host name under which a client knows the facilitator, in its request for a nonce.
FACILITATOR_HOST_HEADER = "X-CH-Facilitator-Host"
MAX_OUTPUT_CHARACTERS = 2**18
_OURS = frozenset(map(str, Extension))

Total = Annotated[int, Field(ge=0, lt=2**63)]


def announced(words: Iterable[str]) -> frozenset[Extension]:
    """The extensions in a peer's list; unknown ones are left out."""
    return frozenset(Extension(word) for word in words if word in _OURS)


def in_header(text: str) -> frozenset[Extension]:
    """The extensions in a comma-separated header."""
    return announced(word.strip() for word in text.split(","))


def in_kind(words: Collection[str]) -> tuple[Extension, ...]:
    """The response to a peer that announced `words`: all our extensions, or None if it had none."""
    return tuple(Extension) if words else ()


class CancelRequested(Message):
    """facilitator -> validator: the job's owner wants it ended; [cancel]."""

    signature: RequestSignature
    type: Literal["job.cancel"] = "job.cancel"
    message_type: Literal["V0JobCancelRequest"] = "V0JobCancelRequest"
    job_uuid: JobUuid

    def verify(self) -> str:
        """The signatory, who must own the job; raises `BadSignature` unless it signed this."""
        signing.verify_request(
            self.signature, cancel_text(self.job_uuid), SignatureScope.FULL_REQUEST
        )
        return self.signature.signatory


def cancel_text(job_uuid: str) -> str:
    """The text that a user signs, with scope `FullRequest`, to cancel a job."""
    return signing.spaced_json({"action": "cancel", "job_uuid": job_uuid}).decode()


class CancelOrdered(ValidatorSigned):
    """validator -> miner -> executor: end the job now and report it; [cancel]."""

    validator_signature: str | None = None
    message_type: Literal["V0CancelJobRequest"] = "V0CancelJobRequest"
    job_uuid: JobUuid


class JobCancelled(JobMessage):
    """executor -> miner -> validator: the job was cancelled by its owner; [cancel]."""

    message_type: Literal["V0JobCancelledRequest"] = "V0JobCancelledRequest"
    job_uuid: JobUuid
    reported_by: Party
    message: str = ""
    stage: Stage = Stage.UNKNOWN
    docker_process_stdout: str | None = None
    docker_process_stderr: str | None = None
    truncated: Truncated = {}
    raw_output: RawOutput = {}


class OutputPrinted(JobMessage):
    """executor -> miner -> validator -> facilitator: a piece of what the job prints; [output].

    `offset` counts the UTF-8 bytes of all pieces before this one, of both streams together, so
    that repeats and gaps are recognised. The facilitator answers with a `Response`.
    """

    message_type: Literal["V0JobOutputRequest"] = "V0JobOutputRequest"
    job_uuid: JobUuid
    offset: Total
    stream: Stream
    text: str = Field(max_length=MAX_OUTPUT_CHARACTERS)

    @property
    def end(self) -> int:
        """The offset of the piece after this one."""
        return self.offset + len(self.text.encode("utf-8", "surrogatepass"))


class ProgressMade(JobMessage):
    """executor -> miner -> validator -> facilitator: how far a stage is; [output].

    Not stored, repeated or answered.
    """

    message_type: Literal["V0JobProgressRequest"] = "V0JobProgressRequest"
    job_uuid: JobUuid
    stage: Stage
    what: str = Field(max_length=200)
    done_bytes: Total
    total_bytes: Total | None = None


class IntervalReceiptIssued(Message):
    """validator -> miner: an interval of a long job is over and paid for; [intervals]."""

    message_type: Literal["V0JobIntervalReceiptRequest"] = "V0JobIntervalReceiptRequest"
    payload: JobIntervalReceipt
    signature: str


NEEDED: dict[type[Message], Extension] = {
    CancelRequested: Extension.CANCEL,
    CancelOrdered: Extension.CANCEL,
    JobCancelled: Extension.CANCEL,
    OutputPrinted: Extension.OUTPUT,
    ProgressMade: Extension.OUTPUT,
    IntervalReceiptIssued: Extension.INTERVALS,
}


def understood(message: Message, peer: frozenset[Extension]) -> bool:
    """Whether `message` may be sent to a peer that announced these extensions."""
    needed = NEEDED.get(type(message))
    return needed is None or needed in peer


def check_cancel(asked: CancelRequested, owner: str) -> None:
    """Raise `BadSignature` unless the job's owner signed the cancel request."""
    if asked.verify() != owner:
        raise BadSignature("only the owner of a job may cancel it")
