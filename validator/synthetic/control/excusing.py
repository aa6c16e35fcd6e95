"""Excuses the attempts of a batch that a fault on the validator's side explains; pure.

What a fault explains depends on how and when an attempt failed, not on whose it is. An excused
attempt earns what a right answer earns.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from compute_horde.faults import CAUSE, Cause, Culprit
from compute_horde.image_names import ImageName
from compute_horde.protocol.job import HordeFailed, JobFailed
from compute_horde.protocol.message import Message
from compute_horde.steady_clock import steady_now
from compute_horde.vocabulary import FailureReason, JobState, Party, Stage
from compute_horde.volumes import SingleFileVolume, ZipUrlVolume, simple_volumes
from validator.synthetic.attempts import Attempt
from validator.synthetic.control.faults import ControlFault, FaultKind
from validator.synthetic.control.uplink import MinerSilence, Span, common_silence
from validator.synthetic.kinds.kind import PreparedJob
from validator.synthetic.outcomes import REASON_CHARACTERS, Outcome

# What an attempt ends with when nothing comes from the miner any more.
SILENT = frozenset({Outcome.UNREACHABLE, Outcome.NOT_ACCEPTED, Outcome.NOT_READY, Outcome.TOO_LATE})
# Attempts that these end may be excused; a wrong answer or a decline has no such cause.
EXCUSABLE = SILENT | {Outcome.JOB_FAILED, Outcome.MINER_FAILED}
POINTS = 1
# A miner that reported its manifest so lately was reached before.
REACHED_FOR = timedelta(hours=1)
# Addresses are read every minute: what moved within less than this is not known in any case.
UNREAD_FOR = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class ReachedMiner:
    """A miner with the address that the batch used; `reported_at`: when it last answered there."""

    hotkey: str
    host: str
    coldkey: str
    reported_at: datetime | None


def excuse(
    attempts: Iterable[Attempt],
    faults: Collection[ControlFault],
    miners: Mapping[str, ReachedMiner],
    began: datetime,
) -> int:
    """Excuse what the faults explain of attempts that began at `began` or with their offer.

    Returns how many.
    """
    excused = 0
    for attempt in attempts:
        span = _span(attempt, began)
        fault = next(
            (
                fault
                for fault in sorted(faults, key=lambda one: one.since)
                if fault.overlaps(*span)
                and explains(fault, attempt, miners.get(attempt.executor.hotkey))
            ),
            None,
        )
        if fault:
            attempt.control_fault, attempt.points = fault.kind, POINTS
            attempt.blamed = Culprit.NOBODY
            attempt.reason = f"{fault.reason}: {attempt.reason}"[:REASON_CHARACTERS]
            excused += 1
    return excused


def explains(fault: ControlFault, attempt: Attempt, miner: ReachedMiner | None) -> bool:
    """Whether this fault can be why the attempt failed as it did, its time apart."""
    if not is_excusable(attempt) or attempt.excused:
        return False
    match fault.kind:
        case FaultKind.REGISTRY:
            return fault.target == registry_of(attempt.prepared.image) and _is_pull(attempt)
        case FaultKind.BUCKET:
            return _is_transfer(attempt, fault.target)
        case FaultKind.CHAIN:
            return _has_moved(attempt, miner, fault)
        case FaultKind.UPLINK:
            return is_silent(attempt)
        case FaultKind.LOAD:
            return attempt.outcome is Outcome.TOO_LATE and is_silent(attempt)


def is_excusable(attempt: Attempt) -> bool:
    """Whether any fault on the validator's side could be why an attempt ended as it did."""
    return attempt.outcome in EXCUSABLE or attempt.is_unverified


def is_silent(attempt: Attempt) -> bool:
    """Whether nothing more came from the miner, not even the report of a failure."""
    return attempt.outcome in SILENT and _last(attempt)[1] is Party.VALIDATOR


def registry_of(image: str) -> str:
    """The registry of an image; an empty text when the name cannot be read."""
    with suppress(ValueError):
        return ImageName.parse(image).registry
    return ""


def input_urls(job: PreparedJob) -> list[str]:
    """The URLs of a job's inputs."""
    urls = []
    for volume in simple_volumes(job.volume):
        match volume:
            case SingleFileVolume():
                urls.append(volume.url)
            case ZipUrlVolume():
                urls.append(volume.contents)
    return urls


def upload_urls(job: PreparedJob) -> list[str]:
    """The URLs of a job's uploads."""
    return _urls(job.output_upload.model_dump(mode="json")) if job.output_upload else []


def host_of(url: str) -> str:
    """The host of a URL, with its port where the URL names one; empty for what is no URL."""
    with suppress(ValueError):
        return urlsplit(url).netloc.rpartition("@")[2].lower()
    return ""


def reached(
    attempts: Sequence[Attempt],
    miners: Mapping[str, ReachedMiner],
    began: datetime,
    reached_since: datetime,
) -> list[MinerSilence]:
    """The miners of the batch that answered it or, since `reached_since`, gave their manifest."""
    by_miner: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        by_miner[attempt.executor.hotkey].append(attempt)
    found = []
    for hotkey, own in by_miner.items():
        miner = miners.get(hotkey)
        if miner is None:
            continue
        has_answered = any(one.was_answered for one in own)
        if has_answered or (miner.reported_at and miner.reported_at >= reached_since):
            spans: list[Span] = [_silence(one, began) for one in own]
            silent = common_silence(spans) if all(is_silent(one) for one in own) else None
            found.append(MinerSilence(hotkey, miner.host, miner.coldkey, silent))
    return found


def _span(attempt: Attempt, began: datetime) -> Span:
    times = attempt.times
    ended = None if attempt.is_unverified else times.finished
    return times.offered or began, ended or steady_now()


def _silence(attempt: Attempt, began: datetime) -> Span:
    """From the last sign of the miner to the end of the attempt."""
    times = attempt.times
    last = times.started or times.ready or times.accepted or times.offered or began
    return last, times.finished or steady_now()


def _last(attempt: Attempt) -> tuple[Message | None, Party | None]:
    """The message that ended an attempt, and who sent it."""
    if not attempt.events:
        return None, None
    return attempt.events[-1].message, attempt.events[-1].sent_by


def _is_pull(attempt: Attempt) -> bool:
    """Whether the attempt failed while the executor fetched the image."""
    if attempt.outcome is Outcome.NOT_READY:
        return True
    message, _ = _last(attempt)
    match message:
        case HordeFailed():
            return (message.context or {}).get(CAUSE) == Cause.REGISTRY
        case JobFailed(reason=FailureReason.DOWNLOAD_FAILED | FailureReason.TIMEOUT):
            return message.stage is Stage.EXECUTOR_STARTUP
    return False


def _is_transfer(attempt: Attempt, host: str) -> bool:
    """Whether the executor could not fetch inputs from there or upload, or we read its results."""
    has_inputs = host in map(host_of, input_urls(attempt.prepared))
    has_uploads = host in map(host_of, upload_urls(attempt.prepared))
    if attempt.is_unverified:
        return has_uploads
    message, sent_by = _last(attempt)
    if attempt.outcome is Outcome.TOO_LATE and sent_by is Party.VALIDATOR:
        is_done = any(event.state is JobState.EXECUTION_DONE for event in attempt.events)
        return has_uploads if is_done else has_inputs and attempt.times.started is None
    match message:
        case JobFailed(reason=FailureReason.DOWNLOAD_FAILED):
            return has_inputs and message.stage is not Stage.EXECUTOR_STARTUP
        case JobFailed(reason=FailureReason.UPLOAD_FAILED):
            return has_uploads
        case JobFailed(reason=FailureReason.TIMEOUT, stage=Stage.VOLUME_DOWNLOAD):
            return has_inputs
        case JobFailed(reason=FailureReason.TIMEOUT, stage=Stage.RESULT_UPLOAD):
            return has_uploads
    return False


def _has_moved(attempt: Attempt, miner: ReachedMiner | None, fault: ControlFault) -> bool:
    """Whether the miner may have announced an address that could not be read.

    Only if it answered at the old one until the fault began, and not since then.
    """
    if attempt.outcome is not Outcome.UNREACHABLE or attempt.was_answered:
        return False
    if miner is None or miner.reported_at is None or fault.until - fault.since < UNREAD_FOR:
        return False
    return fault.since - REACHED_FOR <= miner.reported_at < fault.since


def _urls(value: object) -> list[str]:
    """Every URL in the plain form of an upload."""
    if isinstance(value, dict):
        own = [value["url"]] if isinstance(value.get("url"), str) else []
        return own + [url for one in value.values() for url in _urls(one)]
    if isinstance(value, list):
        return [url for one in value for url in _urls(one)]
    return []
