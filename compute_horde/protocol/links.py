"""Which messages each party may send to which other: the protocol on one page."""

from types import UnionType
from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag, TypeAdapter

from compute_horde.protocol import capacity, extensions, handshake, job, legacy, receipt, status
from compute_horde.protocol.message import FACILITATOR_FRAME_BYTES, REPORT_FRAME_BYTES, Link

_by_type = Field(discriminator="message_type")

ExecutorReport = (
    job.ExecutorReady
    | job.VolumesReady
    | job.StreamingReady
    | job.ExecutionDone
    | capacity.MachineSpecs
    | job.JobFinished
    | job.JobFailed
    | job.HordeFailed
    | extensions.JobCancelled
    | extensions.OutputPrinted
    | extensions.ProgressMade
)
OfferAnswer = job.JobAccepted | job.JobDeclined
Obsolete = legacy.ExecutorFailed | legacy.StreamingNotReady

ToFacilitator = (
    handshake.FacilitatorLogin
    | handshake.Heartbeat
    | status.StatusReported
    | capacity.SpecsReported
    | extensions.OutputPrinted
    | extensions.ProgressMade
)
ToMiner = (
    handshake.ValidatorAuth
    | job.JobOffered
    | job.JobPayload
    | receipt.AcceptedReceiptIssued
    | receipt.FinishedReceiptIssued
    | capacity.MainHotkey
    | handshake.GenericError
    | extensions.CancelOrdered
    | extensions.IntervalReceiptIssued
)
FromMiner = (
    capacity.Manifest
    | OfferAnswer
    | ExecutorReport
    | capacity.MainHotkey
    | handshake.Unauthorized
    | handshake.GenericError
    | Obsolete
)
ToExecutor = job.JobOffered | job.JobPayload | extensions.CancelOrdered | handshake.GenericError
FromExecutor = ExecutorReport | handshake.GenericError | Obsolete
FromFacilitator = (
    handshake.Response | job.JobRequested | job.CheatReported | extensions.CancelRequested
)


def _facilitator_tag(value: Any) -> str:
    """`Response` alone has no wire tag."""
    if isinstance(value, dict):
        return str(value.get("message_type", "Response"))
    return str(getattr(value, "message_type", "Response"))


VALIDATOR_TO_FACILITATOR: Link[ToFacilitator] = Link(
    "validator -> facilitator",
    TypeAdapter(Annotated[ToFacilitator, _by_type]),
    REPORT_FRAME_BYTES,
)
FACILITATOR_TO_VALIDATOR: Link[FromFacilitator] = Link(
    "facilitator -> validator",
    TypeAdapter(
        Annotated[
            Annotated[handshake.Response, Tag("Response")]
            | Annotated[job.JobRequested, Tag("V2JobRequest")]
            | Annotated[job.CheatReported, Tag("V0JobCheated")]
            | Annotated[extensions.CancelRequested, Tag("V0JobCancelRequest")],
            Discriminator(_facilitator_tag),
        ]
    ),
    FACILITATOR_FRAME_BYTES,
)
VALIDATOR_TO_MINER: Link[ToMiner] = Link(
    "validator -> miner", TypeAdapter(Annotated[ToMiner, _by_type])
)
MINER_TO_VALIDATOR: Link[FromMiner] = Link(
    "miner -> validator", TypeAdapter(Annotated[FromMiner, _by_type]), from_legacy=legacy.from_miner
)
MINER_TO_EXECUTOR: Link[ToExecutor] = Link(
    "miner -> executor", TypeAdapter(Annotated[ToExecutor, _by_type])
)
EXECUTOR_TO_MINER: Link[FromExecutor] = Link(
    "executor -> miner",
    TypeAdapter(Annotated[FromExecutor, _by_type]),
    from_legacy=legacy.from_executor,
)

# Every link with the union of its messages, for the generated documentation.
LINKS: tuple[tuple[Link[Any], UnionType], ...] = (
    (VALIDATOR_TO_FACILITATOR, ToFacilitator),
    (FACILITATOR_TO_VALIDATOR, FromFacilitator),
    (VALIDATOR_TO_MINER, ToMiner),
    (MINER_TO_VALIDATOR, FromMiner),
    (MINER_TO_EXECUTOR, ToExecutor),
    (EXECUTOR_TO_MINER, FromExecutor),
)
