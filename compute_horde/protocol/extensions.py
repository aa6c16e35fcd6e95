"""What is said beyond the published protocol: optional, and only to peers that announced it.

A validator announces what it understands in its login at a miner (`ValidatorAuth.extensions`) and
in the header `X-Validator-Extensions` at a facilitator; they answer in kind (`Manifest.extensions`,
`Response.extensions`). Whoever announced nothing hears nothing of this.
"""

from collections.abc import Collection, Iterable
from typing import Annotated, Literal

from pydantic import Field

from compute_horde import signing
from compute_horde.errors import BadSignature
from compute_horde.protocol.job import ValidatorSigned
from compute_horde.protocol.message import JobMessage, Message
from compute_horde.receipts import JobIntervalReceipt, JobUuid
from compute_horde.signing import RequestSignature
from compute_horde.vocabulary import Extension, Party, Stage, Stream

HEADER = "X-Validator-Extensions"
CLIENT_HEADER = "X-CH-Extensions"
MAX_OUTPUT_CHARACTERS = 2**18
_OURS = frozenset(map(str, Extension))

Total = Annotated[int, Field(ge=0, lt=2**63)]


def announced(words: Iterable[str]) -> frozenset[Extension]:
    """The extensions among the words of a peer; newer ones than ours are left out."""
    return frozenset(Extension(word) for word in words if word in _OURS)


def in_header(text: str) -> frozenset[Extension]:
    """The extensions a comma-separated header names."""
    return announced(word.strip() for word in text.split(","))


def in_kind(words: Collection[str]) -> tuple[Extension, ...]:
    """What to answer a peer that announced `words`: all of ours, or nothing as before."""
    return tuple(Extension) if words else ()


class CancelRequested(Message):
    """facilitator -> validator: the job's owner wants it ended; [cancel]."""

    signature: RequestSignature
    type: Literal["job.cancel"] = "job.cancel"
    message_type: Literal["V0JobCancelRequest"] = "V0JobCancelRequest"
    job_uuid: JobUuid

    def verify(self) -> str:
        """The signatory, who must own the job; `BadSignature` unless it signed this."""
        signing.verify_request(self.signature, cancel_text(self.job_uuid))
        return self.signature.signatory


def cancel_text(job_uuid: str) -> str:
    """What a user signs, with scope `FullRequest`, to have a job cancelled."""
    return signing.spaced_json({"action": "cancel", "job_uuid": job_uuid}).decode()


class CancelOrdered(ValidatorSigned):
    """validator -> miner -> executor: end the job now and say so; [cancel]."""

    validator_signature: str | None = None
    message_type: Literal["V0CancelJobRequest"] = "V0CancelJobRequest"
    job_uuid: JobUuid


class JobCancelled(JobMessage):
    """executor -> miner -> validator: the job was ended on its owner's wish; [cancel]."""

    message_type: Literal["V0JobCancelledRequest"] = "V0JobCancelledRequest"
    job_uuid: JobUuid
    reported_by: Party
    message: str = ""
    stage: Stage = Stage.UNKNOWN
    docker_process_stdout: str | None = None
    docker_process_stderr: str | None = None


class OutputPrinted(JobMessage):
    """executor -> miner -> validator -> facilitator: a piece of what the job prints; [output].

    `offset` counts the UTF-8 bytes of all pieces before this one, of both streams together, so
    that a repeat is known as one and a gap is seen. The facilitator answers with a `Response`.
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

    News of the moment: neither kept, repeated nor answered.
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
    """Whether a peer that announced these extensions may be told this."""
    needed = NEEDED.get(type(message))
    return needed is None or needed in peer


def check_cancel(asked: CancelRequested, owner: str) -> None:
    """Raise `BadSignature` unless the job's owner asks for its end."""
    if asked.verify() != owner:
        raise BadSignature("only the owner of a job may cancel it")
