"""What is decided about a job: whether to take it, who does it, how long it may last."""

import base64
import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from compute_horde.deadlines import Budget
from compute_horde.errors import BadSignature, HordeError, RejectionError
from compute_horde.hardware import PROMISES, ExecutorClass
from compute_horde.images import is_listed
from compute_horde.protocol.handshake import TRUSTED_MINER_HOTKEY
from compute_horde.protocol.job import JobRequested, StreamingReady
from compute_horde.protocol.proof import StreamingProof, check_miner
from compute_horde.signing import RequestSignature, Signer
from compute_horde.vocabulary import HordeReason, RejectionReason
from compute_horde.volumes import tainted_path

NO_MINER = "No miner offers this executor class"
ALL_BUSY = "All miners are busy"
NO_TRUSTED_MINER = "This validator has no trusted miner"


@dataclass(frozen=True, slots=True)
class Patience:
    """The validator's own part of every job's time."""

    reservation: timedelta
    startup: timedelta
    leeway: timedelta


def budget(job: JobRequested, patience: Patience) -> Budget:
    """How long each state of `job` may last (protocol §5.4)."""
    return Budget(
        reservation=patience.reservation,
        spin_up=PROMISES[job.executor_class].spin_up,
        startup=patience.startup,
        leeway=patience.leeway,
        download=timedelta(seconds=job.download_time_limit),
        streaming_start=timedelta(seconds=job.streaming_start_time_limit),
        execution=timedelta(seconds=job.execution_time_limit),
        upload=timedelta(seconds=job.upload_time_limit),
        streaming=job.streaming_details is not None,
    )


def check_request(
    job: JobRequested, *, allowed: Collection[str], now: datetime, max_age: timedelta
) -> None:
    """Raise `RejectionError` unless someone we serve signed this job lately (protocol §4.5).

    Paths that every miner would refuse are refused here, lest miners be blamed for it.
    """
    if job.signature is None:
        raise _invalid("Signature is empty")
    if job.signature.signatory not in allowed:
        raise _invalid(f"Signatory {job.signature.signatory} is not in validator whitelist")
    try:
        job.verify()
    except BadSignature as exc:
        raise _invalid("Bad signature") from exc
    if bad := tainted_path(job.volume):
        text = f"Unsafe volume: {bad.path[:200]!r} {bad.reason}"
        raise RejectionError(RejectionReason.UNKNOWN, text)
    # Whole seconds, since a float cannot hold so many nanoseconds.
    age = int(now.timestamp()) - job.signature.timestamp_ns // 10**9
    if abs(age) > max_age.total_seconds():
        raise _invalid("The signature is too old, or its clock is ahead of ours")


def check_streaming(job: JobRequested, images: Collection[str]) -> None:
    """Raise `RejectionError` for an image that users may not be let into."""
    if job.streaming_details and not is_listed(job.docker_image, images):
        raise RejectionError(
            RejectionReason.UNKNOWN,
            f"this validator allows no streaming jobs of image {job.docker_image[:512]!r}",
        )


def vouched(
    ready: StreamingReady, job: JobRequested, miner: str, validator: Signer
) -> StreamingReady:
    """Where the job serves, with our word for it; `HordeError` when the miner's is not good."""
    if job.streaming_details is None:
        raise _not_streaming("The miner serves a job that is none to be served")
    if ready.ip is None:
        raise _not_streaming("The miner did not say where the job serves")
    try:
        check_miner(miner, ready.miner_signature, ready.where())
    except BadSignature as exc:
        raise _not_streaming(f"The miner's signature of where the job serves: {exc}") from exc
    proof = StreamingProof.given(validator, miner, ready.miner_signature, ready.where())
    return ready.model_copy(update={"proof": proof})


def _not_streaming(text: str) -> HordeError:
    return HordeError(HordeReason.STREAMING_FAILED, text)


def replayed() -> RejectionError:
    """Why a signature that was used for another job is refused."""
    return _invalid("The request was replayed: its signature was used for another job")


def _invalid(detail: str) -> RejectionError:
    return RejectionError(RejectionReason.INVALID_SIGNATURE, detail)


def request_digest(signature: RequestSignature) -> str:
    """What tells one signed request from another, however its text is spelled."""
    raw = base64.b64decode(signature.signature)
    blob = f"{signature.signatory}:{signature.timestamp_ns}:".encode() + raw
    return hashlib.sha256(blob).hexdigest()


@dataclass(frozen=True, slots=True)
class Wish:
    """What a job wants of a miner; `miner` is empty when anyone will do."""

    job_uuid: str
    executor_class: ExecutorClass
    miner: str = ""
    shunned: frozenset[str] = frozenset()

    def may_go_to(self, hotkey: str) -> bool:
        """Whether this miner is wanted and was not tried in vain."""
        if hotkey in self.shunned:
            return False
        # The trusted miner does only what is asked of it by name.
        return hotkey == self.miner if self.miner else hotkey != TRUSTED_MINER_HOTKEY


@dataclass(frozen=True, slots=True)
class Seat:
    """One miner's executors of one class, as we see them now."""

    hotkey: str
    offered: int
    busy: int
    reachable: bool = True
    resting: bool = False

    @property
    def free(self) -> bool:
        """Whether a job may be offered now; a miner rests after it said it was busy."""
        return self.reachable and not self.resting and self.busy < self.offered


def ranked(wish: Wish, seats: Iterable[Seat]) -> list[str]:
    """Whom to offer the job: the least busy share first, then in an order of the job's own."""
    free = [seat for seat in seats if seat.free and wish.may_go_to(seat.hotkey)]
    free.sort(key=lambda seat: (seat.busy / seat.offered, _lot(wish.job_uuid, seat.hotkey)))
    return [seat.hotkey for seat in free]


def _lot(job_uuid: str, hotkey: str) -> bytes:
    """Random-looking, fair between miners, the same at every look."""
    return hashlib.sha256(f"{job_uuid}:{hotkey}".encode()).digest()


def hopeless(wish: Wish, seats: Collection[Seat]) -> bool:
    """Whether waiting cannot help: no miner that may take the job offers its class."""
    return not any(seat.offered and wish.may_go_to(seat.hotkey) for seat in seats)


def out_of_reach(wish: Wish, seats: Collection[Seat]) -> bool:
    """Whether every miner that may take the job is disconnected."""
    serving = [seat for seat in seats if seat.offered and wish.may_go_to(seat.hotkey)]
    return bool(serving) and not any(seat.reachable for seat in serving)


def why_none(wish: Wish, seats: Collection[Seat]) -> str:
    """What to tell the user of a job that no miner took."""
    if not hopeless(wish, seats):
        return ALL_BUSY
    return NO_TRUSTED_MINER if wish.miner == TRUSTED_MINER_HOTKEY else NO_MINER
